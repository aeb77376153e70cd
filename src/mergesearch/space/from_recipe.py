"""A finished recipe made a space: which of its numbers can be opened, and how wide."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mergesearch.methods import METHODS, Method, Parameter
from mergesearch.space.document import Place, get, input_lists, merges, own_copy
from mergesearch.space.holes import GROUP_FILTERS, decimals, rounded

MOST = 12  # dimensions that some dozens of trials can still learn something about


@dataclass(frozen=True)
class SearchableValue:
    """A number, gradient or pair of groups of a recipe that can become a hole.

    Attributes:
        place: Place of the value in the document.
        name: Name for people: the stage, the parent and the parameter.
        parameter: Declaration of the parameter.
        value: Value that the recipe has.
        hole: Hole that would take its place.
        dimensions: Number of values that a trial would propose for it.
    """

    place: Place
    name: str
    parameter: Parameter
    value: Any
    hole: dict[str, Any]
    dimensions: int


def openings(document: Mapping[str, Any]) -> list[SearchableValue]:
    """Return everything in a recipe's document that can be opened, ratios and the last merge first.

    A weight that changes nothing, of the only parent of a normalized merge, is left out.
    """
    ordered = sorted(merges(document), key=lambda placed: len(placed[0]))
    found = []
    for at, merge in ordered:
        label = f"{merge['name']}." if at else ""
        for place, name, value in _values(merge):
            parameter = METHODS[merge["merge_method"]].by_name[str(place[-1])]
            hole = _hole(parameter, value)
            if hole is None or _changes_nothing(merge, place, parameter):
                continue
            points = hole.get("curve", 1)
            groups = len(hole.get("per", []))
            count = points * groups + 1 if groups else points
            found.append(
                SearchableValue((*at, *place), label + name, parameter, value, hole, count)
            )
    return sorted(found, key=lambda searchable: searchable.parameter.role != "share")


def by_default(found: Iterable[SearchableValue]) -> list[SearchableValue]:
    """Return what is sensible to open: the ratios, and the rest that matters while it is few."""
    found = list(found)
    chosen = [value for value in found if value.parameter.role == "share"]
    more = [value for value in found if value.parameter.role != "detail"]
    few = sum(value.dimensions for value in more) <= MOST
    return (more if few or not chosen else chosen) or found


def opened(document: Mapping[str, Any], chosen: Iterable[SearchableValue]) -> dict[str, Any]:
    """Return the document with holes in the chosen places."""
    return _with(document, ((one.place, dict(one.hole)) for one in chosen))


def spelled_out(document: Mapping[str, Any], chosen: Iterable[SearchableValue]) -> dict[str, Any]:
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


def _values(merge: Mapping[str, Any]) -> Iterator[tuple[Place, str, Any]]:
    """Every parameter of one merge: its place, its name for people, its value.

    Those that set the shares are there with their default too, where the method has one.
    """
    written = list(_written(merge))
    yield from written
    names = {place[-1] for place, *_ in written}
    method = METHODS[merge["merge_method"]]
    for parameter in method.parameters:
        name, default = parameter.name, parameter.default
        if parameter.role != "share" or default is None or name in names:
            continue
        if not parameter.per_parent:
            yield ("parameters", name), name, default
            continue
        for inner, inputs in input_lists(merge):
            for index, source in enumerate(inputs):
                if not _is_base(source, merge, method):
                    place = (*inner, index, "parameters", name)
                    yield place, f"{_slice_label(inner)}{source['model']}.{name}", default


def _written(merge: Mapping[str, Any]) -> Iterator[tuple[Place, str, Any]]:
    """Every parameter that a merge names, as `_values`."""
    for name, value in merge.get("parameters", {}).items():
        yield ("parameters", name), name, value
    for index, part in enumerate(merge.get("slices", [])):
        for name, value in part.get("parameters", {}).items():
            yield ("slices", index, "parameters", name), f"slice{index}.{name}", value
    for inner, inputs in input_lists(merge):
        for index, source in enumerate(inputs):
            for name, value in source.get("parameters", {}).items():
                place = (*inner, index, "parameters", name)
                yield place, f"{_slice_label(inner)}{source['model']}.{name}", value


def _slice_label(inner: Place) -> str:
    return f"slice{inner[1]}." if inner[0] == "slices" else ""


def _is_base(source: Mapping[str, Any], merge: Mapping[str, Any], method: Method) -> bool:
    """Whether an input is the base that the others are merged onto."""
    base = merge.get("base_model")
    return method.merges_onto(base) and source["model"] == base


def _changes_nothing(merge: Mapping[str, Any], place: Place, parameter: Parameter) -> bool:
    """Whether a weight belongs to the only parent of a merge that divides by the weights' sum."""
    if parameter.role != "share" or not parameter.per_parent:
        return False
    method = METHODS[merge["merge_method"]]
    lists = [inputs for inner, inputs in input_lists(merge) if _within(inner, place)]
    counted = [one for inputs in lists for one in inputs if not _is_base(one, merge, method)]
    given = merge.get("parameters", {})

    def shares(weight: float) -> tuple[list[float], float]:
        def value(other: Parameter, _: int | None) -> float | bool:
            written = weight if other is parameter else given.get(other.name)
            return written if isinstance(written, other.kind) else other.default or 0

        return method.shares(method.settings(value, 1), 1)

    return len(counted) == 1 and shares(1.0) == shares(2.0)


def _within(inner: Place, place: Place) -> bool:
    return place[: len(inner)] == inner or place[0] == "parameters"


def _hole(parameter: Parameter, value: Any) -> dict[str, Any] | None:
    """The hole for a value, None where it cannot be opened."""
    factor = parameter.search_factor
    if factor is not None:
        usable = _number(value) and value > 0
        return {"search": [value / factor, value * factor]} if usable else None
    if parameter.search is None:
        return None
    if _number(value):
        return {"search": _range(parameter, [value])}
    if not isinstance(value, list) or not value:
        return None
    if all(_number(point) for point in value):
        return {"search": _range(parameter, value), "curve": len(value)}
    return _groups(parameter, value)


def _groups(parameter: Parameter, entries: list[Any]) -> dict[str, Any] | None:
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


def _range(parameter: Parameter, values: list[float]) -> list[float]:
    """The usual range, widened to hold the recipe's own values."""
    assert parameter.search is not None
    low, high = parameter.search
    own = rounded(values, decimals(low, high))
    return [min(low, *own), max(high, *own)]


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
