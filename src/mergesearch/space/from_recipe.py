"""A finished recipe made a space: which of its numbers can be opened, and how wide."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mergesearch.recipe import METHOD_SPECS
from mergesearch.space.document import Place, get, input_lists, merges, own_copy
from mergesearch.space.holes import GROUP_FILTERS, decimals, rounded

RANGES: dict[str, tuple[float, float]] = {
    "weight": (0.0, 1.5),
    "t": (0.0, 1.0),
    "density": (0.2, 1.0),
    "lambda": (0.5, 1.5),
    "select_topk": (0.1, 1.0),
    "gamma": (0.0, 0.1),
    "scale": (0.5, 1.5),
}
"""What a number is opened to, unless its own value lies outside."""

FIRST = ("weight", "t")
"""Parameters that are worth a search before all others: they set the ratio of the parents."""
SECOND = ("density", "lambda")
MOST = 12  # dimensions that some dozens of trials can still learn something about


@dataclass(frozen=True)
class Opening:
    """A number, gradient or pair of groups of a recipe that can become a hole.

    Attributes:
        place: of the value in the document.
        name: for people: the stage, the parent and the parameter.
        parameter: its own name.
        value: as the recipe has it.
        hole: what would stand there instead.
        dimensions: how many numbers a trial would propose for it.
    """

    place: Place
    name: str
    parameter: str
    value: Any
    hole: dict[str, Any]
    dimensions: int


def openings(document: Mapping[str, Any]) -> list[Opening]:
    """Return everything in a recipe's document that can be opened, ratios and the last merge first.

    A weight that changes nothing, of the only parent of a normalized merge, is left out.
    """
    ordered = sorted(merges(document), key=lambda one: len(one[0]))
    found = []
    for at, merge in ordered:
        label = f"{merge['name']}." if at else ""
        for place, name, parameter, value in _values(merge):
            hole = _hole(parameter, value)
            if merge["merge_method"] == "nearswap":
                hole = _around(value)
            if hole is None or (parameter == "weight" and _alone(merge, place)):
                continue
            points = hole.get("curve", 1)
            groups = len(hole.get("per", []))
            count = points * groups + 1 if groups else points
            found.append(Opening((*at, *place), label + name, parameter, value, hole, count))
    return sorted(found, key=lambda one: one.parameter not in FIRST)


def by_default(found: Iterable[Opening]) -> list[Opening]:
    """Return what is sensible to open: the ratios, and the rest that matters while it is few."""
    found = list(found)
    chosen = [one for one in found if one.parameter in FIRST]
    more = [one for one in found if one.parameter in FIRST + SECOND]
    few = sum(one.dimensions for one in more) <= MOST
    return (more if few or not chosen else chosen) or found


def opened(document: Mapping[str, Any], chosen: Iterable[Opening]) -> dict[str, Any]:
    """Return the document with holes in the chosen places."""
    return _with(document, ((one.place, dict(one.hole)) for one in chosen))


def spelled_out(document: Mapping[str, Any], chosen: Iterable[Opening]) -> dict[str, Any]:
    """Return the document with the chosen values written out, as exact as a space proposes them."""
    return _with(
        document,
        ((one.place, rounded(one.value, decimals(*one.hole["search"]))) for one in chosen),
    )


def _with(document: Mapping[str, Any], entries: Iterable[tuple[Place, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = own_copy(dict(document))
    for place, value in entries:
        holder = get(result, place[:-2])
        holder.setdefault("parameters", {})[place[-1]] = value
    return result


def _values(merge: Mapping[str, Any]) -> Iterator[tuple[Place, str, str, Any]]:
    """Every parameter of one merge: its place, its name for people, its own name, its value.

    Those of `FIRST` are there with their default too, where the method takes one.
    """
    written = list(_written(merge))
    yield from written
    names = {parameter for *_, parameter, _ in written}
    spec = METHOD_SPECS[merge["merge_method"]]
    if "t" in spec.glob and "t" not in names:
        yield ("parameters", "t"), "t", "t", 0.5
    if "weight" in spec.per_parent and "weight" not in names:
        for inner, inputs in input_lists(merge):
            label = f"slice{inner[1]}." if inner[0] == "slices" else ""
            for index, one in enumerate(inputs):
                if spec.counts_base or one["model"] != merge.get("base_model"):
                    place = (*inner, index, "parameters", "weight")
                    yield place, f"{label}{one['model']}.weight", "weight", 1.0


def _written(merge: Mapping[str, Any]) -> Iterator[tuple[Place, str, str, Any]]:
    """Every parameter that a merge names, as `_values`."""
    for parameter, value in merge.get("parameters", {}).items():
        yield ("parameters", parameter), parameter, parameter, value
    for index, part in enumerate(merge.get("slices", [])):
        for parameter, value in part.get("parameters", {}).items():
            place = ("slices", index, "parameters", parameter)
            yield place, f"slice{index}.{parameter}", parameter, value
    for inner, inputs in input_lists(merge):
        label = f"slice{inner[1]}." if inner[0] == "slices" else ""
        for index, one in enumerate(inputs):
            for parameter, value in one.get("parameters", {}).items():
                place = (*inner, index, "parameters", parameter)
                yield place, f"{label}{one['model']}.{parameter}", parameter, value


def _alone(merge: Mapping[str, Any], place: Place) -> bool:
    """Whether the weight at a place belongs to the only parent of a normalized merge."""
    spec = METHOD_SPECS[merge["merge_method"]]
    normalized = merge.get("parameters", {}).get("normalize", "normalize" in spec.on)
    inputs = [one for inner, found in input_lists(merge) for one in found if _within(inner, place)]
    counted = [one for one in inputs if spec.counts_base or one["model"] != merge.get("base_model")]
    return bool(normalized) and len(counted) == 1


def _within(inner: Place, place: Place) -> bool:
    return place[: len(inner)] == inner or place[0] == "parameters"


def _hole(parameter: str, value: Any) -> dict[str, Any] | None:
    """The hole for a value, None where it cannot be opened."""
    if parameter not in RANGES:
        return None
    if _number(value):
        return {"search": _range(parameter, [value])}
    if not isinstance(value, list) or not value:
        return None
    if all(_number(one) for one in value):
        return {"search": _range(parameter, value), "curve": len(value)}
    return _groups(parameter, value)


def _around(value: Any) -> dict[str, Any] | None:
    """The hole for a threshold, whose size tells what is near: a factor of ten each way."""
    return {"search": [value / 10, value * 10]} if _number(value) and value > 0 else None


def _groups(parameter: str, entries: list[Any]) -> dict[str, Any] | None:
    """The hole for a filter list over attention and MLP with one plain value for the rest."""
    names = {substring: group for group, substring in GROUP_FILTERS.items()}
    *named, last = entries
    if last.get("filter") not in (None, "*") or not _number(last["value"]):
        return None
    groups = [names.get(one.get("filter")) for one in named]
    curves = [one["value"] if isinstance(one["value"], list) else [one["value"]] for one in named]
    if not groups or None in groups or len({len(one) for one in curves}) > 1:
        return None
    numbers = [number for curve in curves for number in curve] + [last["value"]]
    hole: dict[str, Any] = {"search": _range(parameter, numbers)}
    if len(curves[0]) > 1:
        hole["curve"] = len(curves[0])
    return hole | {"per": groups}


def _range(parameter: str, values: list[float]) -> list[float]:
    """The usual range, widened to hold the recipe's own values."""
    low, high = RANGES[parameter]
    own = rounded(values, decimals(low, high))
    return [min(low, *own), max(high, *own)]


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
