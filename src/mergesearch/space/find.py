"""Finding the holes of a document.

A hole is a mapping with `search` in the place of a value: two numbers are a range, anything else a
choice. `curve: n` asks for n points over depth, `per: [attn, mlp]` for a value of its own for each
group of tensors; what is in none of the named groups (`rest`) then takes one plain value. In the
place of a method, a model or a base stands a choice; a model may also be null, which leaves that
input out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mergesearch.errors import SpaceError
from mergesearch.methods import Method, Parameter
from mergesearch.recipe.reading import Location, checked_keys
from mergesearch.space.document import KeyPath, merges_of, methods_of
from mergesearch.space.holes import GROUP_FILTERS, Dimension, Hole

STRUCTURE = ("merge_method", "model", "base_model")
"""Keys outside of `parameters` that may be searched."""

_GROUPS = (*GROUP_FILTERS, "rest")


def find_holes(document: Mapping[str, Any], where: str) -> tuple[Hole, ...]:
    """Return all holes of a document: of its last merge, then of its stages.

    Raises:
        SpaceError: A hole is malformed, or stands where nothing can be searched.
    """
    *stages, last = merges_of(document)
    holes: list[Hole] = []
    for path, merge in (last, *stages):
        label = f"{merge.get('name')}." if path else ""
        holes += _Finder(methods_of(merge), Location(where, SpaceError)).find(merge, path, label)
    return tuple(holes)


class _Finder:
    """Finds the holes of one merge.

    Attributes:
        methods: Methods that the merge may have.
        location: Location of the document.
    """

    def __init__(self, methods: Sequence[Method], location: Location) -> None:
        self.methods = methods
        self.location = location

    def find(self, node: Any, path: KeyPath, label: str) -> Iterator[Hole]:
        """Return the holes below a node; `label` begins their names."""
        if isinstance(node, dict) and "search" in node:
            yield self._hole(node, path, label + (str(path[-1]) if path else ""))
        elif isinstance(node, dict):
            for key, value in node.items():
                yield from self.find(value, (*path, key), label)
        elif isinstance(node, list):
            for index, entry in enumerate(node):
                inner = label + _entry_label(entry, path, index)
                yield from self.find(entry, (*path, index), inner)

    def _hole(self, node: dict[str, Any], path: KeyPath, name: str) -> Hole:
        location = self.location / name
        checked_keys(node, ("search", "curve", "per"), location)
        key = str(path[-1]) if path else ""
        in_parameters = path[-2:-1] == ("parameters",)
        structural = key in STRUCTURE and "parameters" not in path
        if not in_parameters and not structural:
            raise location.error(
                "this cannot be searched",
                expected=", ".join(f"`{name}`" for name in STRUCTURE) + " or a parameter",
            )
        dimension = _dimension(name, node["search"], location, absent=structural and key == "model")
        if structural and not dimension.choices:
            raise location.error(f"{node['search']!r} is not a list of choices")
        parameter = self._declaration(key) if in_parameters else None
        if parameter is not None and parameter.kind is int and not dimension.choices:
            raise location.error(
                f"{key} takes whole numbers only",
                expected="at least three of them to choose from",
            )
        curve, per = _shape(node, location)
        if dimension.choices and (curve > 1 or per):
            raise location.error("a choice has no curve and no groups")
        return Hole(path, dimension, parameter, curve, per)

    def _declaration(self, name: str) -> Parameter | None:
        """The parameter as the first method that takes it declares it."""
        declarations = (method.by_name.get(name) for method in self.methods)
        return next((parameter for parameter in declarations if parameter is not None), None)


def _entry_label(entry: Any, path: KeyPath, index: int) -> str:
    """What an entry of a list adds to the names of its holes.

    An input is named by its model where that is fixed, else by its index.
    """
    if path[-1] == "slices":
        return f"slice{index}."
    if path[-1] in ("models", "sources") and isinstance(entry, dict):
        model = entry.get("model")
        return f"{model}." if isinstance(model, str) else f"{path[-1]}[{index}]."
    return ""


def _shape(node: Mapping[str, Any], location: Location) -> tuple[int, tuple[str, ...]]:
    """The number of points over depth, and the groups with values of their own."""
    curve, per = node.get("curve", 1), node.get("per", [])
    if type(curve) is not int or curve < 1:
        raise location.error(f"curve {curve!r} is not a number of points")
    if not isinstance(per, list) or not set(per) <= set(_GROUPS) or len(set(per)) != len(per):
        raise location.error(f"per {per!r} is not a list of groups", expected=", ".join(_GROUPS))
    return curve, tuple(per)


def _dimension(name: str, search: Any, location: Location, absent: bool) -> Dimension:
    """A range or choices; with `absent` nothing (null) may be one of them."""
    if not isinstance(search, list) or len(search) < 2:
        raise location.error(
            f"{search!r} is not a search", expected="[low, high] or a list of choices"
        )
    numbers = all(type(value) in (int, float) and math.isfinite(value) for value in search)
    if numbers and len(search) == 2:
        low, high = float(search[0]), float(search[1])
        if low >= high:
            raise location.error(f"range {search!r} is empty", expected="low below high")
        return Dimension(name, low, high)
    allowed = (str, int, float, type(None)) if absent else (str, int, float)
    if not all(isinstance(value, allowed) for value in search):
        raise location.error(f"{search!r} is not a list of choices")
    if len(set(search)) != len(search):
        raise location.error("a choice is named twice")
    return Dimension(name, choices=tuple(float(value) if numbers else value for value in search))
