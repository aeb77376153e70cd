"""A search space: a recipe with holes, and what fills them.

A hole is a mapping with `search` in the place of a value: two numbers are a range, anything else a
choice. `curve: n` asks for n points over depth, `per: [attn, mlp]` for a value of its own for each
group of tensors; what is in none of the named groups (`rest`) then takes one plain value.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol

from mergesearch.errors import MergeSearchError, SpaceError
from mergesearch.recipe import METHOD_SPECS, Recipe, load_document

Value = float | int | str | bool
GROUP_FILTERS = {"attn": "self_attn", "mlp": "mlp"}
"""Groups of `per`, by the substring of a tensor's name that marks them."""

_DECIMALS = 4  # what a recipe shows of a proposed number; finer steps are below any score's error
_NEUTRAL: dict[str, Value] = {
    "weight": 1.0,
    "lambda": 1.0,
    "density": 1.0,
    "epsilon": 0.15,
    "gamma": 0.01,
    "scale": 1.0,
    "select_topk": 1.0,
    "t": 0.5,
}
_HOLE_KEYS = ("search", "curve", "per")
_NOT_SEARCHED = ("models", "slices", "base_model", "dtype", "out_dtype", "quantize", "seed")


class Trial(Protocol):
    """What a space needs of a trial: Optuna's two ways of proposing a value."""

    def suggest_float(self, name: str, low: float, high: float) -> float:
        """Propose a number in [low, high]."""

    def suggest_categorical(self, name: str, choices: tuple[Value, ...]) -> Any:
        """Propose one of `choices`."""


@dataclass(frozen=True)
class Dimension:
    """One number or choice that a trial proposes; a range where `choices` is empty."""

    name: str
    low: float = 0.0
    high: float = 0.0
    choices: tuple[Value, ...] = ()

    def holds(self, value: Value) -> bool:
        """Whether `value` can be proposed."""
        if self.choices:
            return value in self.choices
        return not isinstance(value, bool | str) and self.low <= value <= self.high


Path_ = tuple[str | int, ...]


@dataclass(frozen=True)
class _Hole:
    """A place in the document that dimensions fill.

    Attributes:
        path: keys and indices from the top of the document.
        parameter: the last key, such as `weight`.
        model: id of the parent the value belongs to, None for global values.
        dimension: with the hole's name; each point of a curve is a copy with a longer name.
        curve: points over depth, 1 for a plain value.
        per: groups with values of their own, empty for one value for all tensors.
    """

    path: Path_
    parameter: str
    model: str | None
    dimension: Dimension
    curve: int = 1
    per: tuple[str, ...] = ()

    def groups(self) -> list[tuple[str | None, int]]:
        """Each group (None: all tensors) with its number of points."""
        if not self.per:
            return [(None, self.curve)]
        named: list[tuple[str | None, int]] = [(group, self.curve) for group in self.per]
        return named if "rest" in self.per else [*named, ("rest", 1)]

    def names(self, group: str | None, points: int) -> list[str]:
        """The dimensions' names of one group."""
        stem = self.dimension.name if group is None else f"{self.dimension.name}.{group}"
        return [stem] if points == 1 else [f"{stem}[{index}]" for index in range(points)]

    def dimensions(self) -> list[Dimension]:
        """All dimensions of the hole, in a fixed order."""
        return [
            replace(self.dimension, name=name)
            for group, points in self.groups()
            for name in self.names(group, points)
        ]

    def fill(self, values: Mapping[str, Value]) -> Any:
        """The recipe's value for the proposed ones."""
        filled: list[tuple[str | None, Any]] = []
        for group, points in self.groups():
            found = [_rounded(values[name]) for name in self.names(group, points)]
            filled.append((group, found[0] if points == 1 else found))
        if not self.per:
            return filled[0][1]
        plain_last = sorted(filled, key=lambda one: one[0] == "rest")
        return [
            ({} if group == "rest" else {"filter": GROUP_FILTERS[str(group)]}) | {"value": value}
            for group, value in plain_last
        ]

    def read(self, value: Any) -> dict[str, Value]:
        """The proposed values that give the recipe's `value`; the inverse of `fill`.

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
            key = GROUP_FILTERS.get(group or "")
            given = by_filter.get(key)
            found: list[Any] = given if isinstance(given, list) else [given] * points
            if given is None or len(found) != points:
                raise SpaceError(f"{given!r} is not {points} point(s)", where=self.dimension.name)
            values |= dict(zip(self.names(group, points), found, strict=True))
        return values


class Space:
    """A search space.

    Attributes:
        dimensions: everything a trial proposes, in a fixed order.
    """

    def __init__(self, document: Mapping[str, Any], where: str | Path = "space") -> None:
        self._where = str(where)
        self._document = _own_copy(dict(document))
        self._start_from = self._document.pop("start_from", None)
        self._holes = tuple(_find_holes(self._document, self._where))
        self.dimensions = tuple(one for hole in self._holes for one in hole.dimensions())
        self._check()

    @classmethod
    def from_yaml(cls, text: str, where: str | Path = "space") -> Space:
        """Parse and validate a space; a recipe without holes is refused.

        Raises:
            SpaceError: a malformed hole, an unknown key, method, parameter or start.
            RecipeError: not YAML, or not one document.
        """
        return cls(load_document(text, where), where)

    def to_dict(self) -> dict[str, Any]:
        """Return the document the space was made from."""
        document = _own_copy(self._document)
        if self._start_from is not None:
            document["start_from"] = _own_copy(self._start_from)
        return document

    def suggest(self, trial: Trial) -> Recipe:
        """Ask `trial` for every dimension and return the recipe they fill."""
        values: dict[str, Value] = {}
        for one in self.dimensions:
            if one.choices:
                values[one.name] = trial.suggest_categorical(one.name, one.choices)
            else:
                values[one.name] = trial.suggest_float(one.name, one.low, one.high)
        return self.recipe(values)

    def recipe(self, values: Mapping[str, Value]) -> Recipe:
        """Return the recipe for one value per dimension; numbers are rounded to four decimals.

        Parameters that the chosen method does not take are left out.

        Raises:
            SpaceError: the filled recipe is not valid.
        """
        document = _own_copy(self._document)
        for hole in self._holes:
            _holder(document, hole.path)[hole.path[-1]] = hole.fill(values)
        try:
            return Recipe.from_dict(_for_method(document), self._where)
        except MergeSearchError as error:
            expected = error.expected
            if expected and expected.startswith("merge_method, "):  # the recipe's own keys
                expected += ", start_from"
            raise SpaceError(error.what, where=error.where, expected=expected) from error

    def parameters_of(self, recipe: Recipe) -> dict[str, Value]:
        """Return the value of each dimension that gives a hand-written `recipe`.

        Dimensions that the recipe's method does not use take their neutral value.

        Raises:
            SpaceError: the recipe differs from the space outside its holes, or a value lies
                outside its range.
        """
        document = recipe.to_dict()
        values = {
            one.name: self._neutral(hole) for hole in self._holes for one in hole.dimensions()
        }
        for hole in self._holes:
            given = _get(document, hole.path)
            if given is not None:
                values |= hole.read(given)
        for one in self.dimensions:
            if not one.holds(values[one.name]):
                raise SpaceError(f"{values[one.name]!r} is not in the space", where=one.name)
        if self.recipe(values).digest() != recipe.digest():
            raise SpaceError(
                "the recipe differs from the space outside its holes", where=self._where
            )
        return values

    def starts(self) -> list[dict[str, Value]]:
        """Return the parameter sets that `start_from` asks to try first.

        `parents` is each parent alone; `ratio` is a mixture, its numbers scaled to sum to 1. Where
        the space says nothing, the parents that lie inside its ranges come first.

        Raises:
            SpaceError: an entry is malformed, or its weights lie outside the ranges.
        """
        starts: list[dict[str, Value]] = []
        if self._start_from is None:
            for ratio in self._ratios("parents"):
                with suppress(SpaceError):
                    starts.append(self._mixture(ratio))
            return starts
        if not isinstance(self._start_from, list):
            raise self._start_error(self._start_from)
        for entry in self._start_from:
            for ratio in self._ratios(entry):
                values = self._mixture(ratio)
                if values not in starts:
                    starts.append(values)
        return starts

    def examples(self, end: Literal["low", "high"] = "low") -> list[Recipe]:
        """Return one recipe for each method, every number at the low or high end of its range.

        Raises:
            SpaceError: one of them is not valid.
        """
        values = {
            one.name: one.choices[0] if one.choices else getattr(one, end)
            for one in self.dimensions
        }
        searched = any(one.name == "merge_method" for one in self.dimensions)
        return [
            self.recipe(values | ({"merge_method": method} if searched else {}))
            for method in _methods(self._document)
        ]

    def _models(self) -> list[str]:
        inputs = list(self._document.get("models", []))
        for part in self._document.get("slices", []):
            inputs += part["sources"]
        return list(dict.fromkeys(one["model"] for one in inputs))

    def _start_error(self, entry: Any) -> SpaceError:
        return SpaceError(
            f"{entry!r} is not a start",
            where=f"{self._where}: start_from",
            expected="a list of `parents` and {ratio: {PARENT: number, ...}}, with parents "
            + ", ".join(self._models()),
        )

    def _ratios(self, entry: Any) -> list[dict[str, float]]:
        models = self._models()
        if entry == "parents":
            return [{model: float(model == alone) for model in models} for alone in models]
        if not isinstance(entry, dict) or set(entry) != {"ratio"}:
            raise self._start_error(entry)
        ratio = entry["ratio"]
        if not isinstance(ratio, dict) or not ratio or not set(ratio) <= set(models):
            raise self._start_error(entry)
        numbers = list(ratio.values())
        if not all(type(one) in (int, float) and one >= 0 for one in numbers) or not sum(numbers):
            raise self._start_error(entry)
        return [{model: ratio.get(model, 0) / sum(numbers) for model in models}]

    def _mixture(self, ratio: Mapping[str, float]) -> dict[str, Value]:
        values: dict[str, Value] = {}
        models = self._models()
        base = self._document.get("base_model")
        second = next((model for model in reversed(models) if model != base), models[-1])
        for hole in self._holes:
            value = self._neutral(hole)
            if hole.parameter == "weight" and hole.model is not None:
                value = ratio[hole.model]
            elif hole.parameter == "t":
                value = ratio[second]
            for one in hole.dimensions():
                if not one.holds(value):
                    raise SpaceError(
                        f"start_from needs {one.name} = {value}",
                        where=self._where,
                        expected=f"a range that holds it, not {one.low} to {one.high}",
                        fix="widen the range, or leave that start out of start_from",
                    )
                values[one.name] = value
        return values

    def _neutral(self, hole: _Hole) -> Value:
        one = hole.dimension
        if one.choices:
            return one.choices[0]
        wanted = float(_NEUTRAL.get(hole.parameter, (one.low + one.high) / 2))
        return min(max(wanted, one.low), one.high)

    def _check(self) -> None:
        """Prove that every method of the space makes a valid recipe, and that starts exist."""
        if not self.dimensions:
            raise SpaceError(
                "nothing to search: the recipe has no hole",
                where=self._where,
                fix="put {search: [low, high]} where a number stands, or use `search build`",
            )
        names = [one.name for one in self.dimensions]
        if len(set(names)) != len(names):
            raise SpaceError("two holes have the same name", where=self._where)
        self._check_parameters(_methods(self._document))
        self.examples("low")
        self.examples("high")
        self.starts()

    def _check_parameters(self, methods: Sequence[Any]) -> None:
        """Refuse a parameter that none of the space's methods takes."""
        specs = [METHOD_SPECS[one] for one in methods if one in METHOD_SPECS]
        known = {name for spec in specs for name in spec.per_parent + spec.glob}
        for parameters in _parameter_mappings(self._document):
            for name in parameters:
                if len(specs) == len(methods) and name not in known:
                    raise SpaceError(
                        f"unknown parameter {name!r}",
                        where=self._where,
                        expected=", ".join(sorted(known)),
                    )


def _own_copy(node: Any) -> Any:
    """A copy in which nothing stands in two places, as YAML's anchors may make it."""
    if isinstance(node, dict):
        return {key: _own_copy(value) for key, value in node.items()}
    return [_own_copy(value) for value in node] if isinstance(node, list) else node


def _rounded(value: Value) -> Value:
    return round(value, _DECIMALS) if isinstance(value, float) else value


def _methods(document: Mapping[str, Any]) -> list[Any]:
    method = document.get("merge_method")
    if isinstance(method, dict):
        return list(method["search"])
    return [method]


def _for_method(document: dict[str, Any]) -> dict[str, Any]:
    """Leave out the parameters that the chosen method does not take."""
    spec = METHOD_SPECS.get(document.get("merge_method", ""))
    if spec is not None:
        for parameters in _parameter_mappings(document):
            for name in [one for one in parameters if one not in spec.per_parent + spec.glob]:
                del parameters[name]
    return document


def _parameter_mappings(document: Any) -> Iterator[dict[str, Any]]:
    """Every `parameters` mapping of a recipe document."""
    if isinstance(document, dict):
        for key, value in document.items():
            if key == "parameters" and isinstance(value, dict):
                yield value
            else:
                yield from _parameter_mappings(value)
    elif isinstance(document, list):
        for one in document:
            yield from _parameter_mappings(one)


def _find_holes(
    node: Any, where: str, path: Path_ = (), model: str | None = None
) -> Iterator[_Hole]:
    if isinstance(node, dict):
        if "search" in node:
            yield _parse_hole(node, where, path, model)
            return
        model = node.get("model", model) if isinstance(node.get("model"), str) else model
        for key, value in node.items():
            yield from _find_holes(value, where, (*path, key), model)
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _find_holes(value, where, (*path, index), model)


def _parse_hole(node: dict[str, Any], where: str, path: Path_, model: str | None) -> _Hole:
    parameter = str(path[-1]) if path else ""
    slices = f"slice{path[1]}." if path and path[0] == "slices" else ""
    name = slices + (f"{model}." if model else "") + parameter
    place = f"{where}: {name}"
    for key in node:
        if key not in _HOLE_KEYS:
            raise SpaceError(
                f"unknown key {key!r} in a hole", where=place, expected=", ".join(_HOLE_KEYS)
            )
    in_parameters = len(path) > 1 and path[-2] == "parameters"
    if parameter in _NOT_SEARCHED or not (in_parameters or path == ("merge_method",)):
        raise SpaceError(
            "this cannot be searched", where=place, expected="`merge_method` or a parameter"
        )
    dimension = _parse_dimension(name, node["search"], place)
    curve, per = node.get("curve", 1), node.get("per", [])
    if type(curve) is not int or curve < 1:
        raise SpaceError(f"curve {curve!r} is not a number of points", where=place)
    groups = (*GROUP_FILTERS, "rest")
    if not isinstance(per, list) or not set(per) <= set(groups) or len(set(per)) != len(per):
        raise SpaceError(
            f"per {per!r} is not a list of groups", where=place, expected=", ".join(groups)
        )
    if dimension.choices and (curve > 1 or per):
        raise SpaceError("a choice has no curve and no groups", where=place)
    return _Hole(path, parameter, model, dimension, curve, tuple(per))


def _parse_dimension(name: str, search: Any, place: str) -> Dimension:
    if not isinstance(search, list) or len(search) < 2:
        raise SpaceError(
            f"{search!r} is not a search", where=place, expected="[low, high] or a list of choices"
        )
    numbers = all(type(one) in (int, float) and math.isfinite(one) for one in search)
    if numbers and len(search) == 2:
        low, high = float(search[0]), float(search[1])
        if low >= high:
            raise SpaceError(f"range {search!r} is empty", where=place, expected="low below high")
        return Dimension(name, low, high)
    if not all(isinstance(one, str | int | float) for one in search):
        raise SpaceError(f"{search!r} is not a list of choices", where=place)
    if len(set(search)) != len(search):
        raise SpaceError("a choice is named twice", where=place)
    return Dimension(name, choices=tuple(float(one) if numbers else one for one in search))


def _holder(document: Any, path: Path_) -> Any:
    for key in path[:-1]:
        document = document[key]
    return document


def _get(document: Any, path: Path_) -> Any:
    for key in path:
        try:
            document = document[key]
        except (KeyError, IndexError, TypeError):
            return None
    return document
