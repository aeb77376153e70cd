"""A finished recipe made a space: which of its numbers can be opened, and how wide."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from mergesearch.errors import RecipeError
from mergesearch.methods import METHODS, Parameter, Settings
from mergesearch.space.document import KeyPath, input_lists, merges_of, own_copy, value_at
from mergesearch.space.find import find_holes
from mergesearch.space.holes import GROUP_FILTERS, decimals, numbers_in, rounded


@dataclass(frozen=True)
class SearchableValue:
    """A number, gradient or filter list of a recipe that can become a hole.

    Attributes:
        path: Path to the value in the document.
        stage: Name of the stage, empty for the last merge.
        slice: Name of the slice, empty where the value is of the whole merge.
        model: Parent that the value is of, empty where it is of all.
        parameter: Declaration of the parameter.
        value: Value that the recipe has.
        range: Least and largest number of its hole.
        tie: Name of the dimension that multiplies the value; None where each of its numbers is a
            dimension.
    """

    path: KeyPath
    stage: str
    slice: str
    model: str
    parameter: Parameter
    value: Any
    range: tuple[float, float]
    tie: str | None = None

    @property
    def name(self) -> str:
        """Name for people: the stage, the slice, the parent and the parameter."""
        return dotted(self.stage, self.slice, self.model, self.parameter.name)

    @property
    def hole(self) -> Any:
        """What takes the place of the value."""
        if self.tie is None:
            return _hole(self.value, list(self.range))
        return {"search": list(self.range), "times": self.value, "as": self.tie}

    @property
    def numbers(self) -> list[float]:
        """What its dimensions have to be for the value, as exact as a space proposes it."""
        if self.tie is not None:
            return [1.0]
        return [rounded(number, decimals(*self.range)) for number in numbers_in(self.value)]


def dotted(*names: str) -> str:
    """Return names that are not empty with dots between them."""
    return ".".join(filter(None, names))


def openings(document: Mapping[str, Any]) -> list[SearchableValue]:
    """Return everything in a recipe's document that can be opened, shares and the last merge first.

    What changes nothing is left out: a weight of the only parent of a normalized merge, a value
    that all parents have of their own. Shares that nobody wrote are opened at their defaults, and
    all parameters where there is nothing else.
    """
    found = list(_openings(document, lambda parameter: parameter.role == "share"))
    found = found or list(_openings(document, lambda parameter: True))
    return sorted(found, key=lambda searchable: searchable.parameter.role != "share")


def _openings(
    document: Mapping[str, Any], unwritten: Callable[[Parameter], bool]
) -> Iterator[SearchableValue]:
    """Everything that can be opened; parameters that nobody wrote where `unwritten` says so."""
    for path, merge in sorted(merges_of(document), key=lambda placed: len(placed[0])):
        parameters = METHODS[merge["merge_method"]].by_name
        for inner, value in _values(merge, unwritten):
            parameter, value = parameters[str(inner[-1])], _with_numbers(value)
            ends = _range(parameter, value)
            ends = ends and _allowed(merge, inner, numbers_in(value), ends)
            if ends is not None and not _changes_nothing(merge, inner, parameter):
                part = f"slice{inner[1]}" if inner[0] == "slices" else ""
                entry = value_at(merge, inner[:-2])
                model = entry["model"] if len(inner) > 2 and "model" in entry else ""
                stage = merge["name"] if path else ""
                yield SearchableValue((*path, *inner), stage, part, model, parameter, value, ends)


def _with_numbers(value: Any) -> Any:
    """A value with a number in place of each gradient of a single point."""
    if isinstance(value, dict):
        return value | {"value": _with_numbers(value["value"])}
    if not isinstance(value, list):
        return value
    plain = [_with_numbers(entry) for entry in value]
    return plain[0] if len(plain) == 1 and not isinstance(plain[0], dict) else plain


def opened(document: Mapping[str, Any], chosen: Iterable[SearchableValue]) -> dict[str, Any]:
    """Return the space with holes in the chosen places, which tries the recipe itself first."""
    space: dict[str, Any] = own_copy(dict(document))
    numbers = {}
    for value in chosen:
        holder = value_at(space, value.path[:-2])
        holder.setdefault("parameters", {})[value.path[-1]] = value.hole
        numbers[value.path] = iter(value.numbers)
    values: dict[str, float] = {}
    for hole in find_holes(space, "recipe"):
        own = numbers[hole.path[: hole.path.index("parameters") + 2]]
        values |= {dimension.name: next(own) for dimension in hole.dimensions()}
    return space | {"start_from": [{"values": values}]}


def _values(
    merge: Mapping[str, Any], unwritten: Callable[[Parameter], bool]
) -> Iterator[tuple[KeyPath, Any]]:
    """Every parameter of one merge: its path in it, and its value.

    Those that nobody wrote are there with their default, where `unwritten` says so.
    """
    written = list(_written_values(merge))
    yield from written
    names = {path[-1] for path, _ in written}
    for parameter in METHODS[merge["merge_method"]].parameters:
        name, default = parameter.name, parameter.default
        if default is None or name in names or not unwritten(parameter):
            continue
        if not parameter.per_parent:
            yield ("parameters", name), default
            continue
        for path, entry in _inputs(merge):
            if not _is_base(entry, merge):
                yield (*path, "parameters", name), default


def _written_values(merge: Mapping[str, Any]) -> Iterator[tuple[KeyPath, Any]]:
    """Every parameter that a merge names, as `_values`."""
    holders: list[tuple[KeyPath, Mapping[str, Any]]] = [((), merge)]
    holders += [(("slices", index), part) for index, part in enumerate(merge.get("slices", []))]
    for path, holder in (*holders, *_inputs(merge)):
        for name, value in holder.get("parameters", {}).items():
            yield (*path, "parameters", name), value


def _inputs(merge: Mapping[str, Any]) -> Iterator[tuple[KeyPath, dict[str, Any]]]:
    """Every input of one merge: its path in it, and itself."""
    for path, inputs in input_lists(merge):
        for index, entry in enumerate(inputs):
            yield (*path, index), entry


def _is_base(entry: Mapping[str, Any], merge: Mapping[str, Any]) -> bool:
    """Whether an input is the base that the others are merged onto."""
    base = merge.get("base_model")
    return METHODS[merge["merge_method"]].merges_onto(base) and entry["model"] == base


def _changes_nothing(merge: Mapping[str, Any], path: KeyPath, parameter: Parameter) -> bool:
    """Whether another value would give the same model.

    So it is with a value that every parent has of its own too, and with a weight of the only parent
    of a merge that divides by the weights' sum.
    """
    if not parameter.per_parent:
        return False
    entries = [
        entry
        for inner, inputs in input_lists(merge)
        if path[: len(inner)] == inner or path[:2] == inner[:2] or path[0] == "parameters"
        for entry in inputs
        if not _is_base(entry, merge)
    ]
    of_slice = path[0] == "slices" and path[2] == "parameters"
    shared = path[0] == "parameters" or of_slice
    if shared and all(
        _always(entry.get("parameters", {}).get(parameter.name)) for entry in entries
    ):
        return True
    if parameter.role != "share" or len(entries) != 1:
        return False
    method = METHODS[merge["merge_method"]]
    single, doubled = (method.shares(_settings(merge, path, weight), 1) for weight in (1.0, 2.0))
    return single == doubled


def _always(value: Any) -> bool:
    """Whether a value is there for every tensor."""
    last = value[-1] if isinstance(value, list) else value
    return value is not None and not (isinstance(last, dict) and last.get("filter", "*") != "*")


def _settings(merge: Mapping[str, Any], path: KeyPath, number: float) -> Settings:
    """Settings of one input, with a number in place of one value."""
    beside = value_at(merge, path[:-1]) or {}
    written = {**merge.get("parameters", {}), **beside, path[-1]: number}

    def value(parameter: Parameter, _: int | None) -> float | bool:
        found = written.get(parameter.name)
        return found if isinstance(found, parameter.kind) else parameter.default or 0

    return METHODS[merge["merge_method"]].settings(value, 1)


def _allowed(
    merge: Mapping[str, Any], path: KeyPath, numbers: list[float], ends: tuple[float, float]
) -> tuple[float, float] | None:
    """The part of a range around numbers in which the method takes every value; None where none is.

    The chances of della must lie between 0 and 1, but a density of 1 is allowed.
    """
    check = METHODS[merge["merge_method"]].check
    if check is None:
        return ends

    def reached(start: float, end: float) -> float:
        last = start
        for step in range(1, 101):
            number = start + (end - start) * step / 100
            with suppress(RecipeError):
                check(_settings(merge, path, number), [""])
                last = number
                continue
            break
        return round(last, decimals(*ends))

    low, high = reached(min(numbers), ends[0]), reached(max(numbers), ends[1])
    return (low, high) if low < high else None


def _hole(value: Any, search: list[float]) -> Any:
    """The hole for a value; a filter list over attention, MLP and the rest is one with groups."""
    if not isinstance(value, list):
        return {"search": search}
    if not isinstance(value[0], dict):
        return {"search": search, "curve": len(value)}
    grouped = _groups(value)
    if grouped is not None:
        return {"search": search, **grouped}
    return [entry | {"value": _hole(entry["value"], search)} for entry in value]


def _groups(entries: list[Any]) -> dict[str, Any] | None:
    """The groups of a filter list with equal curves and one plain value for the rest."""
    *named, last = entries
    if last.get("filter") is not None or not _is_number(last["value"]):
        return None
    names = {substring: group for group, substring in GROUP_FILTERS.items()}
    groups = [names.get(entry.get("filter")) for entry in named]
    points = {len(numbers_in(entry["value"])) for entry in named}
    if None in groups or len(set(groups)) < len(groups) or len(points) != 1:
        return None
    (curve,) = points
    return ({"curve": curve} if curve > 1 else {}) | {"per": groups}


def _range(parameter: Parameter, value: Any) -> tuple[float, float] | None:
    """The range of a value's hole: the usual one, widened to hold it; None where it has none.

    What has a factor instead is opened by it around the value, which must be above 0.
    """
    numbers = numbers_in(value)
    if not numbers or not all(map(_is_number, numbers)):
        return None
    factor, usual = parameter.search_factor, parameter.search
    if factor is not None:
        usable = min(numbers) > 0
        return (min(numbers) / factor, max(numbers) * factor) if usable else None
    if usual is None:
        return None
    own = rounded(numbers, decimals(*usual))
    return min(usual[0], *own), max(usual[1], *own)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
