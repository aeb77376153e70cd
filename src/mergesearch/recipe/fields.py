"""Reading a document's values, each refused by the place where it stands."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mergesearch.errors import RecipeError


class Place:
    """Where in a document a value stands, for error messages."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __truediv__(self, key: object) -> Place:
        return Place(f"{self.path}: {key}" if ": " not in self.path else f"{self.path}.{key}")

    def error(self, what: str, expected: str | None = None) -> RecipeError:
        """Return the error that refuses the value, for the caller to raise."""
        return RecipeError(what, where=self.path, expected=expected)


def checked_keys(
    document: Any, allowed: tuple[str, ...], place: Place, also: tuple[str, ...] = ()
) -> dict[str, Any]:
    """The document, a mapping with keys of `allowed`; those of `also` go unmentioned."""
    if not isinstance(document, dict):
        raise place.error(f"{document!r} is not a mapping", expected=", ".join(allowed))
    for key in document:
        if key not in allowed + also:
            raise place.error(f"unknown key {key!r}", expected=", ".join(allowed))
    return document


def text_of(keys: Mapping[str, Any], name: str, place: Place) -> str | None:
    """Return a text, None where the key is absent."""
    value = keys.get(name)
    if value is not None and not (isinstance(value, str) and value):
        raise place.error(f"`{name}` {value!r} is not a text")
    return value


def choice_of(
    keys: Mapping[str, Any], name: str, choices: tuple[str, ...], default: str | None, place: Place
) -> str:
    """Return one of `choices`; without a default the key must be there."""
    value = keys.get(name, default)
    if value not in choices:
        what = f"needs `{name}`" if value is None else f"unknown {name} {value!r}"
        raise place.error(what, expected=", ".join(choices))
    return str(value)


def list_of(document: Any, place: Place, parse: Callable[[Any, Place], Any]) -> tuple[Any, ...]:
    """Return the parsed entries of a list that must not be empty."""
    if not isinstance(document, list) or not document:
        raise place.error("needs a list with at least one entry")
    return tuple(parse(one, place / index) for index, one in enumerate(document))
