"""Reading a document's values, each refused by the location where it stands."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from mergesearch._system.alike import did_you_mean
from mergesearch._system.yaml_text import as_written
from mergesearch.errors import InputError, RecipeError

_ALIKE = 0.78
"""Likeness of two keys from which one is a slip of the other: `license` is not one of `slices`."""


IN_STAGE = ", stage "
"""Stands in a place between the name of a file and that of a stage in it."""


class Location:
    """Where in a document a value stands, for error messages.

    Attributes:
        path: Name of the document, and the keys that lead to the value.
        kind: Class of the errors.
        notes: What a person should know of the document, one sentence each by its subject; all
            locations in it share them.
    """

    def __init__(
        self,
        path: str,
        kind: type[InputError] = RecipeError,
        notes: dict[str, str] | None = None,
    ) -> None:
        self.path = path
        self.kind = kind
        self.notes = {} if notes is None else notes

    def __truediv__(self, key: object) -> Location:
        joint = "." if ": " in self.path else ": "
        return Location(f"{self.path}{joint}{key}", self.kind, self.notes)

    def error(self, what: str, expected: str | None = None, fix: str | None = None) -> InputError:
        """Return the error that refuses the value, for the caller to raise."""
        return self.kind(what, where=self.path, expected=expected, fix=fix)


def is_number(value: Any) -> bool:
    """Whether a value is a finite number that fits a float; true and false are none."""
    return type(value) in (int, float) and abs(value) <= sys.float_info.max


def checked_keys(document: Any, allowed: Sequence[str], location: Location) -> dict[str, Any]:
    """Return the document, a mapping whose keys are all known.

    Args:
        document: Value to check.
        allowed: Known keys.
        location: Location of the document.
    """
    if not isinstance(document, dict):
        raise location.error(
            f"{as_written(document)} is not a mapping", expected=", ".join(allowed)
        )
    for key in document:
        if key not in allowed:
            raise location.error(f"unknown key {as_written(key)}", expected=", ".join(allowed))
    return document


def refuse_slip(
    what: str, key: object, allowed: Sequence[str], elsewhere: Mapping[str, str], location: Location
) -> None:
    """Refuse a key that was probably meant to be another one, or to stand in another place.

    Args:
        what: First half of the message.
        key: Key that is not known at the location.
        allowed: Known keys.
        elsewhere: Keys that are known in other places -> what would have been right.
        location: Location of the document.

    Raises:
        InputError: Another key was probably meant; the error's class is the location's.
    """
    meant = elsewhere.get(str(key)) or _meant(str(key), allowed)
    if meant is not None:
        raise location.error(f"{what}: did you mean {meant}?", expected=", ".join(allowed))


def _meant(key: str, allowed: Sequence[str]) -> str | None:
    """The known key that another one is a slip or a short form of."""
    longer = [name for name in allowed if len(key) > 2 and name.startswith(key)]
    found = [*get_close_matches(key, allowed, 1, _ALIKE), *longer]
    return f"`{found[0]}`" if found else None


def switch_of(value: Any, location: Location) -> bool:
    """Return a switch, which mergekit also writes as a number."""
    if value in (0, 1):  # False and True too
        return bool(value)
    raise location.error(f"{as_written(value)} is not true or false")


def string_of(keys: Mapping[str, Any], name: str, location: Location) -> str | None:
    """Return a string, None where the key is absent."""
    value = keys.get(name)
    if value is not None and not (isinstance(value, str) and value):
        raise location.error(f"`{name}` {as_written(value)} is not a string")
    return value


def choice_of(
    keys: Mapping[str, Any],
    name: str,
    choices: Sequence[str],
    default: str | None,
    location: Location,
) -> str:
    """Return one of `choices`; without a default the key must be there."""
    value = keys.get(name, default)
    if value not in choices:
        what = f"needs `{name}`" if value is None else f"unknown {name} {as_written(value)}"
        fix = did_you_mean(value, choices) if isinstance(value, str) else None
        raise location.error(what, ", ".join(choices), fix)
    return str(value)


def entries_of(document: Any, location: Location) -> list[tuple[Any, Location]]:
    """Return the entries of a list that must not be empty, each with its location."""
    if not isinstance(document, list) or not document:
        raise location.error("needs a list with at least one entry")
    return [(entry, location / index) for index, entry in enumerate(document)]
