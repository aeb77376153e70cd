"""A finished recipe made a space: which of its numbers can be opened, and how wide."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mergesearch.methods import METHODS, Parameter
from mergesearch.space.document import KeyPath, input_lists, merges_of, own_copy, value_at
from mergesearch.space.holes import GROUP_FILTERS, decimals, rounded

MOST = 12  # dimensions that some dozens of trials can still learn something about


@dataclass(frozen=True)
class SearchableValue:
    """A number, gradient or pair of groups of a recipe that can become a hole.

    Attributes:
        path: Path to the value in the document.
        name: Name for people: the stage, the parent and the parameter.
        parameter: Declaration of the parameter.
        value: Value that the recipe has.
        hole: Hole that would take its place.
        dimensions: Number of values that a trial would propose for it.
    """

    path: KeyPath
    name: str
    parameter: Parameter
    value: Any
    hole: dict[str, Any]
    dimensions: int


def openings(document: Mapping[str, Any]) -> list[SearchableValue]:
    """Return everything in a recipe's document that can be opened, shares and the last merge first.

    A weight that changes nothing, of the only parent of a normalized merge, is left out.
    """
    found = []
    for path, merge in sorted(merges_of(document), key=lambda placed: len(placed[0])):
        label = f"{merge['name']}." if path else ""
        parameters = METHODS[merge["merge_method"]].by_name
        for inner, name, value in _values(merge):
            parameter = parameters[str(inner[-1])]
            hole = _hole(parameter, value)
            if hole is None or _changes_nothing(merge, inner, parameter):
                continue
            curve, groups = hole.get("curve", 1), len(hole.get("per", []))
            count = curve * groups + 1 if groups else curve
            found.append(
                SearchableValue((*path, *inner), label + name, parameter, value, hole, count)
            )
    return sorted(found, key=lambda searchable: searchable.parameter.role != "share")


def by_default(found: Iterable[SearchableValue]) -> list[SearchableValue]:
    """Return what is sensible to open: the shares, and the rest that matters while it is few."""
    found = list(found)
    shares = [searchable for searchable in found if searchable.parameter.role == "share"]
    more = [searchable for searchable in found if searchable.parameter.role != "detail"]
    few = sum(searchable.dimensions for searchable in more) <= MOST
    return (more if few or not shares else shares) or found


def opened(document: Mapping[str, Any], chosen: Iterable[SearchableValue]) -> dict[str, Any]:
    """Return the document with holes in the chosen places."""
    return _with_values(document, {value.path: dict(value.hole) for value in chosen})


def spelled_out(document: Mapping[str, Any], chosen: Iterable[SearchableValue]) -> dict[str, Any]:
    """Return the document with the chosen values written out, as exact as a space proposes them."""
    return _with_values(
        document,
        {value.path: rounded(value.value, decimals(*value.hole["search"])) for value in chosen},
    )


def _with_values(document: Mapping[str, Any], values: Mapping[KeyPath, Any]) -> dict[str, Any]:
    """A copy of a document with parameters at their paths."""
    result: dict[str, Any] = own_copy(dict(document))
    for path, value in values.items():
        holder = value_at(result, path[:-2])
        holder.setdefault("parameters", {})[path[-1]] = value
    return result


def _values(merge: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str, Any]]:
    """Every parameter of one merge: its path in it, its name for people, its value.

    Those that set the shares are there with their default too, where the method has one.
    """
    written = list(_written_values(merge))
    yield from written
    names = {path[-1] for path, *_ in written}
    for parameter in METHODS[merge["merge_method"]].parameters:
        name, default = parameter.name, parameter.default
        if parameter.role != "share" or default is None or name in names:
            continue
        if not parameter.per_parent:
            yield ("parameters", name), name, default
            continue
        for path, label, entry in _inputs(merge):
            if not _is_base(entry, merge):
                yield (*path, "parameters", name), f"{label}.{name}", default


def _written_values(merge: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str, Any]]:
    """Every parameter that a merge names, as `_values`."""
    for name, value in merge.get("parameters", {}).items():
        yield ("parameters", name), name, value
    for index, part in enumerate(merge.get("slices", [])):
        for name, value in part.get("parameters", {}).items():
            yield ("slices", index, "parameters", name), f"slice{index}.{name}", value
    for path, label, entry in _inputs(merge):
        for name, value in entry.get("parameters", {}).items():
            yield (*path, "parameters", name), f"{label}.{name}", value


def _inputs(merge: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str, dict[str, Any]]]:
    """Every input of one merge: its path in it, its name for people, itself."""
    for path, inputs in input_lists(merge):
        label = f"slice{path[1]}." if path[0] == "slices" else ""
        for index, entry in enumerate(inputs):
            yield (*path, index), label + entry["model"], entry


def _is_base(entry: Mapping[str, Any], merge: Mapping[str, Any]) -> bool:
    """Whether an input is the base that the others are merged onto."""
    base = merge.get("base_model")
    return METHODS[merge["merge_method"]].merges_onto(base) and entry["model"] == base


def _changes_nothing(merge: Mapping[str, Any], path: KeyPath, parameter: Parameter) -> bool:
    """Whether a weight belongs to the only parent of a merge that divides by the weights' sum."""
    if parameter.role != "share" or not parameter.per_parent:
        return False
    lists = [
        inputs
        for inner, inputs in input_lists(merge)
        if path[: len(inner)] == inner or path[0] == "parameters"
    ]
    counted = [entry for inputs in lists for entry in inputs if not _is_base(entry, merge)]
    method, written = METHODS[merge["merge_method"]], merge.get("parameters", {})

    def shares(weight: float) -> tuple[list[float], float]:
        def value(other: Parameter, _: int | None) -> float | bool:
            found = weight if other is parameter else written.get(other.name)
            return found if isinstance(found, other.kind) else other.default or 0

        return method.shares(method.settings(value, 1), 1)

    return len(counted) == 1 and shares(1.0) == shares(2.0)


def _hole(parameter: Parameter, value: Any) -> dict[str, Any] | None:
    """The hole for a value, None where it cannot be opened."""
    factor = parameter.search_factor
    if factor is not None:
        usable = _is_number(value) and value > 0
        return {"search": [value / factor, value * factor]} if usable else None
    if parameter.search is None:
        return None
    if _is_number(value):
        return {"search": _range(parameter.search, [value])}
    if not isinstance(value, list) or not value:
        return None
    if all(_is_number(point) for point in value):
        return {"search": _range(parameter.search, value), "curve": len(value)}
    return _grouped_hole(parameter.search, value)


def _grouped_hole(usual: tuple[float, float], entries: list[Any]) -> dict[str, Any] | None:
    """The hole for a filter list over attention and MLP with one plain value for the rest."""
    *named, last = entries
    if last.get("filter") not in (None, "*") or not _is_number(last["value"]):
        return None
    names = {substring: group for group, substring in GROUP_FILTERS.items()}
    groups = [names.get(entry.get("filter")) for entry in named]
    values = [entry["value"] for entry in named]
    curves = [value if isinstance(value, list) else [value] for value in values]
    if not groups or None in groups or len({len(curve) for curve in curves}) > 1:
        return None
    numbers = [number for curve in curves for number in curve] + [last["value"]]
    curve = {"curve": len(curves[0])} if len(curves[0]) > 1 else {}
    return {"search": _range(usual, numbers), **curve, "per": groups}


def _range(usual: tuple[float, float], values: list[float]) -> list[float]:
    """The usual range, widened to hold the recipe's own values."""
    low, high = usual
    own = rounded(values, decimals(low, high))
    return [min(low, *own), max(high, *own)]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
