"""Holes of a space, and the dimensions that fill them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mergesearch.errors import SpaceError
from mergesearch.methods import Method, Parameter
from mergesearch.space.document import Place, methods_of

Value = float | int | str | bool | None
GROUP_FILTERS = {"attn": "self_attn", "mlp": "mlp"}
"""Groups of `per`, by the substring of a tensor's name that marks them."""

STRUCTURE = ("merge_method", "model", "base_model")
"""Keys outside of `parameters` that may be searched."""

_DECIMALS = 4  # of numbers up to about 1; finer steps are below any score's error
_HOLE_KEYS = ("search", "curve", "per")


@dataclass(frozen=True)
class Dimension:
    """One number or choice that a trial proposes; a range where `choices` is empty."""

    name: str
    low: float = 0.0
    high: float = 0.0
    choices: tuple[Value, ...] = ()

    @property
    def decimals(self) -> int:
        """How many decimals of a proposed number a recipe shows: more for a narrow range."""
        return decimals(self.low, self.high)

    def holds(self, value: Value) -> bool:
        """Whether `value` can be proposed."""
        if self.choices:
            return value in self.choices
        return (
            isinstance(value, int | float)
            and not isinstance(value, bool)
            and (self.low <= value <= self.high)
        )


@dataclass(frozen=True)
class Hole:
    """A place in the document that dimensions fill.

    Attributes:
        place: Keys and indices from the top of the document.
        dimension: Dimension with the hole's name; each point of a curve is a copy with a longer
            name.
        parameter: Declaration of the parameter, by the first method of the merge that takes it;
            None for a method, a model or a base.
        curve: Number of points over depth, 1 for a plain value.
        per: Groups with values of their own, empty for one value for all tensors.
    """

    place: Place
    dimension: Dimension
    parameter: Parameter | None = None
    curve: int = 1
    per: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The last key of the place, such as `weight` or `model`."""
        return str(self.place[-1])

    def groups(self) -> list[tuple[str | None, int]]:
        """Return each group (None: all tensors) with its number of points."""
        if not self.per:
            return [(None, self.curve)]
        named: list[tuple[str | None, int]] = [(group, self.curve) for group in self.per]
        return named if "rest" in self.per else [*named, ("rest", 1)]

    def names(self, group: str | None, points: int) -> list[str]:
        """Return the dimensions' names of one group."""
        stem = self.dimension.name if group is None else f"{self.dimension.name}.{group}"
        return [stem] if points == 1 else [f"{stem}[{index}]" for index in range(points)]

    def dimensions(self) -> list[Dimension]:
        """Return all dimensions of the hole, in a fixed order."""
        return [
            replace(self.dimension, name=name)
            for group, points in self.groups()
            for name in self.names(group, points)
        ]

    def fill(self, values: Mapping[str, Value]) -> Any:
        """Return the recipe's value for the proposed ones."""
        filled: list[tuple[str | None, Any]] = []
        for group, points in self.groups():
            found = [
                rounded(values[name], self.dimension.decimals) for name in self.names(group, points)
            ]
            filled.append((group, found[0] if points == 1 else found))
        if not self.per:
            return filled[0][1]
        plain_last = sorted(filled, key=lambda one: one[0] == "rest")
        return [
            ({} if group == "rest" else {"filter": GROUP_FILTERS[str(group)]}) | {"value": value}
            for group, value in plain_last
        ]

    def read(self, value: Any) -> dict[str, Value]:
        """Return the proposed values that give the recipe's `value`; the inverse of `fill`.

        Raises:
            SpaceError: the value has another shape or lies outside the range.
        """
        by_filter: dict[str | None, Any] = {None: value}
        if self.per:
            if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
                raise SpaceError(f"{value!r} has no groups", where=self.dimension.name)
            by_filter = {one.get("filter"): one["value"] for one in value}
        values: dict[str, Value] = {}
        for group, points in self.groups():
            given = by_filter.get(GROUP_FILTERS.get(group or ""))
            found: list[Any] = given if isinstance(given, list) else [given] * points
            if (given is None and not self.dimension.choices) or len(found) != points:
                raise SpaceError(f"{given!r} is not {points} point(s)", where=self.dimension.name)
            values |= dict(zip(self.names(group, points), found, strict=True))
        return values


def decimals(low: float, high: float) -> int:
    """Return the decimals of numbers in a range: four, and one more for each tenth of its width."""
    return _DECIMALS + max(0, math.floor(-math.log10(high - low))) if high > low else _DECIMALS


def rounded(value: Any, digits: int) -> Any:
    """Return a number as a recipe shows it, and so every number of a list or a filter list."""
    if isinstance(value, list):
        return [rounded(one, digits) for one in value]
    if isinstance(value, dict):
        return {key: rounded(one, digits) for key, one in value.items()}
    return round(value, digits) if isinstance(value, float) else value


def find_holes(document: Mapping[str, Any], where: str) -> tuple[Hole, ...]:
    """Return all holes of a document: of its last merge, then of its stages.

    Raises:
        SpaceError: one is malformed, or stands where nothing can be searched.
    """
    last = {key: value for key, value in document.items() if key != "stages"}
    found = list(_find(last, methods_of(last), where, (), ""))
    for index, stage in enumerate(document.get("stages", [])):
        label = f"{stage.get('name')}."
        found += _find(stage, methods_of(stage), where, ("stages", index), label)
    return tuple(found)


def _find(
    node: Any, methods: Sequence[Method], where: str, place: Place, label: str
) -> Iterator[Hole]:
    """The holes below a node; `label` begins their names."""
    if isinstance(node, dict):
        if "search" in node:
            yield _parse_hole(
                node, methods, where, place, label + (str(place[-1]) if place else "")
            )
            return
        for key, value in node.items():
            yield from _find(value, methods, where, (*place, key), label)
    elif isinstance(node, list):
        for index, value in enumerate(node):
            longer = label + _of_entry(value, place, index)
            yield from _find(value, methods, where, (*place, index), longer)


def _of_entry(entry: Any, place: Place, index: int) -> str:
    """What an entry of a list adds to the names of its holes.

    An input is named by its model where that is fixed, else by its place.
    """
    if place[-1] == "slices":
        return f"slice{index}."
    if place[-1] in ("models", "sources") and isinstance(entry, dict):
        model = entry.get("model")
        return f"{model}." if isinstance(model, str) else f"{place[-1]}[{index}]."
    return ""


def _parse_hole(
    node: dict[str, Any], methods: Sequence[Method], where: str, place: Place, name: str
) -> Hole:
    at = f"{where}: {name}"
    for unknown in node:
        if unknown not in _HOLE_KEYS:
            raise SpaceError(
                f"unknown key {unknown!r} in a hole", where=at, expected=", ".join(_HOLE_KEYS)
            )
    key = str(place[-1]) if place else ""
    structural = key in STRUCTURE and "parameters" not in place
    if not structural and (len(place) < 2 or place[-2] != "parameters"):
        raise SpaceError(
            "this cannot be searched",
            where=at,
            expected=", ".join(f"`{name}`" for name in STRUCTURE) + " or a parameter",
        )
    dimension = _parse_dimension(name, node["search"], at, absent=key == "model")
    if structural and not dimension.choices:
        raise SpaceError(f"{node['search']!r} is not a list of choices", where=at)
    declared = [method.by_name[key] for method in methods if key in method.by_name]
    parameter = declared[0] if declared and not structural else None
    if parameter is not None and parameter.kind is int and not dimension.choices:
        raise SpaceError(
            f"{key} takes whole numbers only",
            where=at,
            expected="at least three of them to choose from",
        )
    curve, per = node.get("curve", 1), node.get("per", [])
    if type(curve) is not int or curve < 1:
        raise SpaceError(f"curve {curve!r} is not a number of points", where=at)
    groups = (*GROUP_FILTERS, "rest")
    if not isinstance(per, list) or not set(per) <= set(groups) or len(set(per)) != len(per):
        raise SpaceError(
            f"per {per!r} is not a list of groups", where=at, expected=", ".join(groups)
        )
    if dimension.choices and (curve > 1 or per):
        raise SpaceError("a choice has no curve and no groups", where=at)
    return Hole(place, dimension, parameter, curve, tuple(per))


def _parse_dimension(name: str, search: Any, at: str, absent: bool) -> Dimension:
    """A range or choices; `absent`: nothing (null) may be one of them."""
    if not isinstance(search, list) or len(search) < 2:
        raise SpaceError(
            f"{search!r} is not a search", where=at, expected="[low, high] or a list of choices"
        )
    numbers = all(type(one) in (int, float) and math.isfinite(one) for one in search)
    if numbers and len(search) == 2:
        low, high = float(search[0]), float(search[1])
        if low >= high:
            raise SpaceError(f"range {search!r} is empty", where=at, expected="low below high")
        return Dimension(name, low, high)
    if not all(isinstance(one, str | int | float) or (absent and one is None) for one in search):
        raise SpaceError(f"{search!r} is not a list of choices", where=at)
    if len(set(search)) != len(search):
        raise SpaceError("a choice is named twice", where=at)
    return Dimension(name, choices=tuple(float(one) if numbers else one for one in search))
