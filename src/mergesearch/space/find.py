"""Finding the holes of a document.

A hole is a mapping with `search` in place of a value: two numbers are a range, anything else a
choice. `curve: n` asks for n points over depth, `curve: auto` and `blocks: n` for points, and for
blocks of layers, that lie where the mass of the parents' deltas says (a list of layers says it
itself). `per: [attn, mlp]` asks for a value of its own for each group of tensors; what is in none
of the named groups (`rest`) then takes one plain value. With `times` the number multiplies a value,
and holes with the same `as` share their dimensions. In the place of a method, a model, a base or a
layer range stands a choice; a model may also be null, which leaves that input out. `slices:
{search: order, of: [...]}` asks for the order of slices.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import permutations
from typing import Any, Literal

from mergesearch._system.yaml_text import as_written
from mergesearch.methods import Method, Parameter
from mergesearch.recipe.reading import Location, checked_keys, is_number
from mergesearch.recipe.values import parse_value
from mergesearch.space.cuts import AUTO_POINTS, Cut
from mergesearch.space.document import KeyPath, location_of, merges_of, methods_of
from mergesearch.space.holes import GROUP_FILTERS, Dimension, Hole, Value

STRUCTURE = {
    "merge_method": "a list of methods",
    "model": "a list of parents; `null` among them leaves the input out",
    "base_model": "a list of parents",
    "layer_range": "a list of layer ranges, `[[0, 20], [0, 24]]`",
    "slices": "`order`, or a list of orders (`[[0, 1, 2], [0, 1, 1, 2]]`) of the slices in `of`",
}
"""Keys outside of `parameters` that may be searched, with what `search` holds there."""
HOLE_KEYS = {
    "search": "`[low, high]` is a range, any other list a choice",
    "curve": "number of points of a gradient over depth; `auto`: four points that lie where the"
    " parents differ; or the layers of the points",
    "blocks": "number of blocks of neighbouring layers, each with a value of its own; or, for each"
    " block, the layer after its last",
    "per": "groups of tensors with values of their own",
    "times": "value that the searched number multiplies",
    "as": "name of the dimension; holes with the same name share it",
}
"""Keys of a hole, with what they hold."""
MOST_IN_ANY_ORDER = 5
"""Slices whose every order is a choice; of more, the orders have to be named."""

_MOST_POINTS = 256  # points of a curve; no model has as many layers
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
        finder = _Finder(methods_of(merge), partial(location_of, document, where=where))
        holes += finder.find(merge, path, label)
    return tuple(holes)


class _Finder:
    """Finds the holes of one merge.

    Attributes:
        methods: Methods that the merge may have.
        location: Function that gives the location of a value by its path.
    """

    def __init__(self, methods: Sequence[Method], location: Callable[[KeyPath], Location]) -> None:
        self.methods = methods
        self.location = location

    def find(self, node: Any, path: KeyPath, label: str) -> Iterator[Hole]:
        """Return the holes below a node; `label` begins their names."""
        if isinstance(node, dict) and "search" in node:
            yield self._hole(node, path, _name(path, label))
            if "of" in node:
                yield from self.find(node["of"], (*path, "of"), label)
        elif isinstance(node, dict):
            for key, value in node.items():
                yield from self.find(value, (*path, key), label)
        elif isinstance(node, list):
            for index, entry in enumerate(node):
                inner = label + _entry_label(entry, path, index)
                yield from self.find(entry, (*path, index), inner)

    def _hole(self, node: dict[str, Any], path: KeyPath, name: str) -> Hole:
        location = self.location(path)
        key, inner = str(path[-1]) if path else "", _below_parameters(path)
        checked_keys(
            node, tuple(HOLE_KEYS) + (("of",) if path[-1:] == ("slices",) else ()), location
        )
        tied = node.get("as")
        if tied is not None and (not isinstance(tied, str) or not tied):
            raise location.error(f"`as` {as_written(tied)} is not a name")
        if inner is None and (key not in STRUCTURE or "parameters" in path):
            raise location.error(
                "this cannot be searched",
                expected=", ".join(f"`{name}`" for name in STRUCTURE) + " or a parameter",
            )
        hole = (
            _structure(node, path, location)
            if inner is None
            else self._number(node, path, location)
        )
        dimension = replace(hole.dimension, name=tied or name)
        return replace(hole, dimension=dimension, tied=tied is not None)

    def _number(self, node: dict[str, Any], path: KeyPath, location: Location) -> Hole:
        """The hole in place of a parameter's number."""
        name, *inner = _below_parameters(path) or ()
        parameter, per = self._declaration(str(name)), _groups(node, location)
        points, cut = _depth(node, "slices" in path, location)
        dimension = _dimension(node["search"], location, absent=False)
        if parameter is not None and parameter.kind is bool and dimension.high:
            if (dimension.low, dimension.high) != (0.0, 1.0):
                raise location.error(f"{name} is a switch", expected="[false, true]")
            dimension = Dimension("", choices=(False, True))
        if parameter is not None and parameter.kind is int and not dimension.choices:
            raise location.error(
                f"{name} takes whole numbers only",
                expected="at least three of them to choose from",
            )
        if dimension.choices and (points > 1 or per or "times" in node):
            raise location.error("a choice has no curve, no groups and no `times`")
        if inner and per:
            raise location.error("the value of a filter has no groups")
        if "times" in node and (points > 1 or per or parameter is None):
            raise location.error("`times` has the curve and the groups of its value")
        if "times" in node and parameter is not None:
            parse_value(parameter, node["times"], location / "times")
        return Hole(path, dimension, parameter, points, per, cut, node.get("times"))

    def _declaration(self, name: str) -> Parameter | None:
        """The parameter as the first method that takes it declares it."""
        declarations = (method.by_name.get(name) for method in self.methods)
        return next((parameter for parameter in declarations if parameter is not None), None)


def _below_parameters(path: KeyPath) -> KeyPath | None:
    """What of a path is below `parameters`, None where no value of a parameter is there."""
    if "parameters" not in path:
        return None
    inner = path[path.index("parameters") + 1 :]
    match inner:
        case (str(),) | (str(), "value") | (str(), int(), "value"):
            return inner
    return None


def _name(path: KeyPath, label: str) -> str:
    """The name of a hole; one of a filter's value is in the label already."""
    return (
        label.removesuffix(".") if path[-1:] == ("value",) else label + "".join(map(str, path[-1:]))
    )


def _structure(node: Mapping[str, Any], path: KeyPath, location: Location) -> Hole:
    """The hole in place of a method, a model, a base, a layer range or slices."""
    if {"curve", "blocks", "per", "times"} & {*node}:
        raise location.error("a choice has no curve, no groups and no `times`")
    key, search = path[-1], node["search"]
    if key in ("layer_range", "slices"):
        options = _ranges(search, location) if key == "layer_range" else _orders(node, location)
        return Hole(path, Dimension("", choices=tuple(options)), options=options)
    dimension = _dimension(search, location, absent=key == "model")
    if not dimension.choices:
        raise location.error(f"{as_written(search)} is not a list of choices")
    return Hole(path, dimension)


def _ranges(search: Any, location: Location) -> dict[Value, Any]:
    """The layer ranges to choose from, by their names."""
    spans = search if isinstance(search, list) else []
    valid = [span for span in spans if _is_whole(span) and len(span) == 2]
    return _named_lists(search, valid, "-", "a list of layer ranges", location)


def _orders(node: Mapping[str, Any], location: Location) -> dict[Value, Any]:
    """The orders of slices to choose from, by their names: every one, or those that are named."""
    slices, search = node.get("of"), node["search"]
    if not isinstance(slices, list) or len(slices) < 2:
        raise location.error("`of` is not a list of slices", expected="at least two of them")
    if search == "order":
        if len(slices) > MOST_IN_ANY_ORDER:
            raise location.error(
                f"{len(slices)} slices have too many orders",
                expected=f"up to {MOST_IN_ANY_ORDER} slices, or a list of orders: "
                "{search: [[0, 1, 2], [0, 2, 1]], of: ...}",
            )
        search = [list(order) for order in permutations(range(len(slices)))]
    orders = search if isinstance(search, list) else []
    valid = [order for order in orders if _is_whole(order) and max(order) < len(slices)]
    return _named_lists(search, valid, ",", "`order`, or a list of orders of slices", location)


def _named_lists(
    search: Any, valid: list[list[int]], joint: str, expected: str, location: Location
) -> dict[Value, Any]:
    options: dict[Value, Any] = {joint.join(map(str, numbers)): numbers for numbers in valid}
    if len(options) < 2 or len(options) != len(search):
        raise location.error(
            f"{as_written(search)} is not a search", expected=f"{expected}, at least two"
        )
    return options


def _is_whole(numbers: Any) -> bool:
    """Whether a value is a list of whole numbers from 0 up, not empty."""
    return (
        isinstance(numbers, list)
        and bool(numbers)
        and all(type(number) is int and number >= 0 for number in numbers)
    )


def _entry_label(entry: Any, path: KeyPath, index: int) -> str:
    """What an entry of a list adds to the names of its holes.

    An input is named by its model where that is fixed, else by its index; an entry of a filter list
    by its parameter and its filter.
    """
    if path[-1] == "slices" or path[-2:] == ("slices", "of"):
        return f"slice{index}."
    if path[-2:-1] == ("parameters",) and isinstance(entry, dict):
        return f"{path[-1]}.{entry.get('filter') or 'rest'}."
    if path[-1] in ("models", "sources") and isinstance(entry, dict):
        model = entry.get("model")
        return f"{model}." if isinstance(model, str) else f"{path[-1]}[{index}]."
    return ""


def _depth(node: Mapping[str, Any], in_slices: bool, location: Location) -> tuple[int, Cut | None]:
    """The number of points or blocks over depth, and where they are unless that is evenly."""
    if {"curve", "blocks"} <= {*node}:
        raise location.error("a curve has no blocks", expected="`curve` or `blocks`")
    kind: Literal["curve", "blocks"] = "blocks" if "blocks" in node else "curve"
    given = node.get(kind, 1)
    counted = type(given) is int and 1 <= given <= _MOST_POINTS
    if kind == "curve" and counted:
        return given, None
    if in_slices:
        raise location.error(
            f"{kind} {as_written(given)} is for whole models", expected="`curve: n`"
        )
    if kind == "curve" and given == "auto":
        return AUTO_POINTS, Cut(kind)
    if kind == "blocks" and counted:
        return given, Cut(kind)
    if not _is_cut(kind, given):
        layers = {
            "curve": "the layers of its points, from 0 to the last",
            "blocks": "for each the layer after its last, rising",
        }
        unit = "points" if kind == "curve" else "blocks"
        raise location.error(
            f"{kind} {as_written(given)} is not a number of {unit}",
            expected=f"1 to {_MOST_POINTS}, {'auto, ' if kind == 'curve' else ''}or {layers[kind]}",
        )
    return len(given), Cut(kind, tuple(given))


def _is_cut(kind: str, layers: Any) -> bool:
    """Whether a value is a list of layers at which the depth can be cut."""
    if not _is_whole(layers) or sorted({*layers}) != layers:
        return False
    if kind == "blocks":
        return bool(layers[0] > 0)
    return layers[0] == 0 and len(layers) > 1


def _groups(node: Mapping[str, Any], location: Location) -> tuple[str, ...]:
    """The groups with values of their own."""
    per = node.get("per", [])
    if (
        not isinstance(per, list)
        or any(group not in _GROUPS for group in per)
        or len(set(per)) != len(per)
    ):
        raise location.error(
            f"per {as_written(per)} is not a list of groups", expected=", ".join(_GROUPS)
        )
    return tuple(per)


def _dimension(search: Any, location: Location, absent: bool) -> Dimension:
    """A range or choices, still without a name; with `absent` null may be one of the choices."""
    if not isinstance(search, list) or len(search) < 2:
        raise location.error(
            f"{as_written(search)} is not a search", expected="[low, high] or a list of choices"
        )
    if any(isinstance(choice, float) and not math.isfinite(choice) for choice in search):
        raise location.error(f"{as_written(search)} has no end", expected="finite numbers")
    numbers = all(map(is_number, search))
    if numbers and len(search) == 2:
        low, high = float(search[0]), float(search[1])
        if low >= high:
            raise location.error(f"range {as_written(search)} is empty", expected="low below high")
        return Dimension("", low, high)
    allowed = (str, int, float, type(None)) if absent else (str, int, float)
    if not all(isinstance(value, allowed) for value in search):
        raise location.error(f"{as_written(search)} is not a list of choices")
    if len(set(search)) != len(search):
        raise location.error("a choice is named twice")
    return Dimension("", choices=tuple(float(value) if numbers else value for value in search))
