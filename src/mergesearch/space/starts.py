"""Mixtures of parents as values of a space's dimensions: what `start_from` tries first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mergesearch.errors import SpaceError
from mergesearch.space.document import Place, choices, get, input_lists, merges
from mergesearch.space.holes import Hole, Value


def neutral(hole: Hole) -> Value:
    """Return the method's default where the range holds it, else the value nearest to it."""
    dimension = hole.dimension
    if dimension.choices:
        return dimension.choices[0]
    default = None if hole.parameter is None else hole.parameter.default
    if default is None:
        default = (dimension.low + dimension.high) / 2
    return min(max(default, dimension.low), dimension.high)


def parents_of(document: Mapping[str, Any]) -> list[str]:
    """Return the inputs that are no stages, in order, choices of a hole included."""
    names = {merge.get("name") for place, merge in merges(document) if place}
    found = [
        model
        for _, merge in merges(document)
        for _, inputs in input_lists(merge)
        for one in inputs
        for model in choices(one.get("model"))
    ]
    return [one for one in dict.fromkeys(found) if isinstance(one, str) and one not in names]


class Mixture:
    """A ratio of parents, as the part that each place of a document has in the result.

    A parent's part is divided equally among its places; a stage's part is that of its inputs.
    """

    def __init__(self, document: Mapping[str, Any], ratio: Mapping[str, float]) -> None:
        self._document = document
        self._ratio = ratio
        self._stages = {
            str(merge["name"]): (place, merge) for place, merge in merges(document) if place
        }
        self._places = {
            parent: sum(self.model(place, one) == parent for place, one in self._inputs(document))
            for parent in ratio
        }

    def _inputs(self, document: Mapping[str, Any]) -> list[tuple[Place, dict[str, Any]]]:
        return [
            ((*at, *inner, index), one)
            for at, merge in merges(document)
            for inner, inputs in input_lists(merge)
            for index, one in enumerate(inputs)
        ]

    def model(self, place: Place, one: Mapping[str, Any]) -> str | None:
        """Return the model of an input; of several choices the first that the ratio names."""
        offered = choices(one.get("model"))
        named = [model for model in offered if self._ratio.get(model, 0.0) > 0.0]
        rest = [None] if None in offered else offered
        chosen = (named or rest)[0]
        return None if chosen is None else str(chosen)

    def part(self, place: Place, one: Mapping[str, Any]) -> float:
        """Return the part of the whole result that an input stands for."""
        model = self.model(place, one)
        if model in self._stages:
            at, merge = self._stages[model]
            return sum(
                self.part((*at, *inner, index), other)
                for inner, inputs in input_lists(merge)
                for index, other in enumerate(inputs)
            )
        return self._ratio.get(model or "", 0.0) / max(1, self._places.get(model or "", 1))

    def share(self, inputs_place: Place, index: int) -> float:
        """Return what part of its list of inputs one input makes up; equal parts where none has."""
        inputs = get(self._document, inputs_place)
        parts = [self.part((*inputs_place, at), one) for at, one in enumerate(inputs)]
        total = sum(parts)
        return parts[index] / total if total else 1.0 / len(parts)


def mixture_values(
    document: Mapping[str, Any], holes: tuple[Hole, ...], ratio: Mapping[str, float], where: str
) -> dict[str, Value]:
    """Return the values that mix the parents in a ratio.

    Raises:
        SpaceError: a value lies outside its range.
    """
    mixture = Mixture(document, ratio)
    values: dict[str, Value] = {}
    for hole in holes:
        value = _value(document, hole, mixture)
        for one in hole.dimensions():
            if not one.holds(value):
                raise SpaceError(
                    f"start_from needs {one.name} = {value}",
                    where=where,
                    expected=f"a range that holds it, not {one.low} to {one.high}",
                    fix="widen the range, or leave that start out of start_from",
                )
            values[one.name] = value
    return values


def _value(document: Mapping[str, Any], hole: Hole, mixture: Mixture) -> Value:
    inputs_place = _inputs_place(hole.place)
    if hole.key == "model" and hole.parameter is None:
        return mixture.model(hole.place[:-1], get(document, hole.place[:-1]))
    if hole.parameter is None or hole.parameter.role != "share":
        return neutral(hole)
    if not hole.parameter.per_parent:
        return _other_than_base(document, hole, mixture)
    if inputs_place is not None:
        return mixture.share(inputs_place, int(hole.place[len(inputs_place)]))
    return neutral(hole)


def _inputs_place(place: Place) -> Place | None:
    """The list of inputs in which a hole stands."""
    for end, key in enumerate(place):
        if key in ("models", "sources") and end + 1 < len(place):
            return place[: end + 1]
    return None


def _other_than_base(document: Mapping[str, Any], hole: Hole, mixture: Mixture) -> float:
    """The part of the second of two inputs, the base being the first."""
    at = hole.place[: 2 if hole.place[0] == "stages" else 0]
    merge = get(document, at)
    inner, inputs = next(input_lists(merge))
    base = merge.get("base_model")
    second = max(
        (index for index, one in enumerate(inputs) if one.get("model") != base),
        default=len(inputs) - 1,
    )
    return mixture.share((*at, *inner), second)
