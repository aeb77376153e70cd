"""Keys that stand in published recipes though mergekit reads them without effect.

They are left out, each with a note. A key that was probably meant to be another one, or to stand in
another place, is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mergesearch._system.yaml_text import as_written
from mergesearch.methods import METHODS, Method
from mergesearch.recipe.reading import Location, refuse_slip
from mergesearch.recipe.values import ParameterValue


class WithoutEffect:
    """Leaves out what a merge has no use for.

    Attributes:
        method: Merge method.
        keys: Keys of the last document of a recipe.
    """

    def __init__(self, method: Method, keys: Sequence[str]) -> None:
        self.method = method
        at_top = [key for key in keys if key not in ("name", "parameters")]
        self._at_top = {key: f"`{key}` at the top" for key in at_top}
        self._in_last = {key: f"`{key}` in the last document" for key in keys}
        self._in_last["stages"] = "documents of their own"
        self._inside = {name: f"`parameters: {{{name}: ...}}`" for name in method.by_name}
        self._of_any = {name for other in METHODS.values() for name in other.by_name}

    def document(
        self,
        document: Mapping[str, Any],
        allowed: Sequence[str],
        parameters: Mapping[str, ParameterValue],
        location: Location,
    ) -> dict[str, Any]:
        """Return the known keys of a merge's document.

        A parameter beside `parameters` is taken where it says what holds anyway.

        Args:
            allowed: Known keys.
            location: Location of the document.
        """
        for key in document:
            parameter = self.method.by_name.get(key)
            if parameter is not None:
                holds = parameters.get(key, parameter.default)
                if parameter.only_in_mergekit or document[key] == holds:
                    _note(key, "it is read inside `parameters` only", location)
                    continue
            self._leave_out(key, allowed, self._inside | self._in_last, location)
        return {key: value for key, value in document.items() if key in allowed}

    def part(
        self,
        document: Any,
        allowed: Sequence[str],
        elsewhere: Mapping[str, str],
        location: Location,
    ) -> dict[str, Any]:
        """Return the known keys of a slice or an input.

        Args:
            allowed: Known keys.
            elsewhere: Keys that belong into other places -> what would have been right.
            location: Location of the document.
        """
        if not isinstance(document, dict):
            raise location.error(
                f"{as_written(document)} is not a mapping", expected=", ".join(allowed)
            )
        for key in document:
            self._leave_out(key, allowed, {**self._at_top, **self._inside, **elsewhere}, location)
        return {key: value for key, value in document.items() if key in allowed}

    def parameter(
        self,
        name: str,
        value: Any,
        known: Sequence[str],
        top: Mapping[str, Any],
        location: Location,
    ) -> None:
        """Leave out a parameter that the method does not take.

        Args:
            known: Names of parameters that stand where it does.
            top: Document of the merge, which a parameter may repeat.
            location: Location of the parameters.
        """
        method, repeated = self.method.name, name in self._at_top and top.get(name) == value
        if name not in self._of_any and not repeated:
            what = f"{method} takes no parameter {name!r}"
            refuse_slip(what, name, known, self._at_top, location)
        _note(name, f"{method} takes {', '.join(known) or 'no parameters'}", location)

    def base_parameters(self, names: Sequence[str], base: str, location: Location) -> None:
        """Leave out the parameters of the base that the other inputs are merged onto."""
        for name in names:
            _note(name, f"{base} is the base, which the others are merged onto", location)

    def _leave_out(
        self, key: str, allowed: Sequence[str], elsewhere: Mapping[str, str], location: Location
    ) -> None:
        if key in allowed:
            return
        if key not in self._of_any or key in elsewhere:
            refuse_slip(f"unknown key {key!r}", key, allowed, elsewhere, location)
        _note(key, "nothing reads it here", location)


def _note(key: str, why: str, location: Location) -> None:
    location.notes[key] = f"`{key}` has no effect: {why}"
