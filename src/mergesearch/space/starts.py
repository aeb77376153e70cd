"""What a search tries first: `start_from` as values of the space's dimensions."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from mergesearch._system.alike import did_you_mean
from mergesearch._system.yaml_text import as_written
from mergesearch.errors import InputError, SpaceError
from mergesearch.recipe.reading import Location, is_number
from mergesearch.recipe.shares import short_names
from mergesearch.space.document import KeyPath, choices_of, input_lists, merges_of, value_at
from mergesearch.space.holes import Hole, Value

Values = dict[str, Value]
"""A value for each dimension, by its name."""
FORMS = {
    "usual": "what people try first: each parent alone, all in equal parts, the first two 1:1, 2:1,"
    " 3:1 and 1:2, and in two rounds; the same as no `start_from` at all",
    "parents": "each parent alone",
    "{ratio: {PARENT: number, ...}}": "a mixture, its numbers scaled to sum to 1",
    "{values: {DIMENSION: value, ...}}": "values of dimensions, by their names",
}
"""What `start_from` lists, with what it means."""
USUAL_RATIOS = ((1, 1), (2, 1), (3, 1), (1, 2))
"""Ratios of two parents that people try first."""
TOLERANCE = 0.005
"""Distance of a parent's share from the one that is meant, where numbers are rounded."""


def neutral_value(hole: Hole) -> Value:
    """Return the method's default where the range holds it, else the value nearest to it.

    What multiplies a value leaves it as it is.
    """
    dimension = hole.dimension
    if dimension.choices:
        return dimension.choices[0]
    default = None if hole.parameter is None else hole.parameter.default
    if hole.times is not None:
        default = 1.0
    if default is None:
        default = (dimension.low + dimension.high) / 2
    return min(max(default, dimension.low), dimension.high)


def neutral_values(holes: Sequence[Hole]) -> Values:
    """Return the neutral value of each dimension."""
    return {
        dimension.name: neutral_value(hole) for hole in holes for dimension in hole.dimensions()
    }


class Starts:
    """Reads `start_from`.

    `usual` is what people try first, as far as the space has it; `parents` is each parent alone;
    `ratio` is a mixture, its numbers scaled to sum to 1; `values` names dimensions.

    Attributes:
        document: Document of the space.
        holes: Holes of the space.
        where: Name of the space for messages.
        shares: Function that gives the share of each parent in the recipe of some values.
        models: Parents that can be mixed: the inputs that are not stages, in order, choices of a
            hole included.
    """

    def __init__(
        self,
        document: Mapping[str, Any],
        holes: Sequence[Hole],
        where: str,
        shares: Callable[[Values], Mapping[str, float]],
    ) -> None:
        self.document = document
        self.holes = holes
        self.where = where
        self.shares = shares
        stages = {merge.get("name") for path, merge in merges_of(document) if path}
        models = dict.fromkeys(
            model
            for _, merge in merges_of(document)
            for _, inputs in input_lists(merge)
            for entry in inputs
            for model in choices_of(entry.get("model"))
        )
        self.models = [model for model in models if isinstance(model, str) and model not in stages]

    def read(self, start_from: Any) -> list[Values]:
        """Return the values of every start, each once.

        Where the space says nothing, the usual ones come first.

        Raises:
            SpaceError: An entry is malformed, or its weights lie outside the ranges.
        """
        if start_from is None:
            start_from = ["usual"]
        location = Location(self.where, SpaceError) / "start_from"
        if not isinstance(start_from, list):
            raise self._error(start_from, location)
        starts: list[Values] = []
        for index, entry in enumerate(start_from):
            found = self._entry(entry, location / index)
            starts += [values for values in found if values not in starts]
        return starts

    def usual(self) -> dict[str, Values | None]:
        """Return what people try first, by its name; None where the space does not have it.

        Each parent alone, all in equal parts, the first two in the usual ratios, and the same two
        in two rounds: 1:1, and then that mixture and the first parent 3:1. Where layers are
        searched, those that are written first, and the most of them.
        """
        starts: dict[str, Values | None] = {}
        called = dict(zip(self.models, short_names(self.models), strict=True))
        for model, ratio in zip(self.models, self._alone(), strict=True):
            starts[f"{called[model]} alone"] = self.mixture(ratio)
        if len(self.models) > 2:
            equal = dict.fromkeys(self.models, 1 / len(self.models))
            starts["all in equal parts"] = self.mixture(equal)
        if len(self.models) > 1:
            first, second = self.models[:2]
            for ours, theirs in USUAL_RATIOS:
                name = f"{called[first]} : {called[second]} = {ours} : {theirs}"
                starts[name] = self.mixture(self._between(first, second, ours / (ours + theirs)))
            starts["two rounds, 1 : 1 and then 3 : 1"] = self.two_rounds(first, second)
        of_layers = [hole for hole in self.holes if hole.key in ("layer_range", "slices")]
        if of_layers:
            starts["the layers that are written first"] = neutral_values(self.holes)
            largest = {hole.dimension.name: hole.largest for hole in of_layers}
            starts["the most layers"] = neutral_values(self.holes) | largest
        return starts

    def _between(self, first: str, second: str, share: float) -> dict[str, float]:
        """The ratio that has a share of one parent, and of another what is left."""
        return dict.fromkeys(self.models, 0.0) | {first: share, second: 1.0 - share}

    def sweep(self, first: str, second: str, points: int) -> list[Values]:
        """Return what the space has of the straight line between two parents, end to end."""
        shares = [1.0 - index / (points - 1) for index in range(points)]
        found = [self.mixture(self._between(first, second, share)) for share in shares]
        return [values for values in found if values is not None]

    def two_rounds(self, first: str, second: str) -> Values | None:
        """Return two parents 1:1, and then that mixture and the first 3:1; None as for `mixture`.

        Where the space has no rounds it is the same in one: 5:3.
        """
        ratio = self._between(first, second, 5 / 8)
        return self._filled(_Rounds(self.document, ratio), ratio) or self.mixture(ratio)

    def mixture(self, ratio: Mapping[str, float]) -> Values | None:
        """Return the values that mix the parents in a ratio; None where the space has none."""
        return self._filled(_Mixture(self.document, ratio), ratio)

    def _filled(self, mixture: _Mixture, ratio: Mapping[str, float]) -> Values | None:
        try:
            values = self._mixture(mixture, Location(self.where, SpaceError))
            shares = self.shares(values)
        except SpaceError:
            return None
        is_it = all(abs(shares.get(ref, 0.0) - share) < TOLERANCE for ref, share in ratio.items())
        return values if is_it else None

    def _entry(self, entry: Any, location: Location) -> list[Values]:
        match entry:
            case "usual":
                return [values for values in self.usual().values() if values is not None]
            case "parents":
                alone = [_Mixture(self.document, ratio) for ratio in self._alone()]
                return [self._mixture(mixture, location) for mixture in alone]
            case {"values": given, **rest} if not rest:
                return [self._named(given, location / "values")]
            case {"ratio": given, **rest} if not rest:
                ratio = self._ratio(given, location / "ratio")
                return [self._mixture(_Mixture(self.document, ratio), location)]
        raise self._error(entry, location)

    def _alone(self) -> list[dict[str, float]]:
        """The ratio of each parent that has it alone."""
        return [{model: float(model == alone) for model in self.models} for alone in self.models]

    def _ratio(self, given: Any, location: Location) -> dict[str, float]:
        if not isinstance(given, dict) or not given:
            raise location.error(
                f"{as_written(given)} is not a ratio", expected="{PARENT: number, ...}"
            )
        _refuse_unknown(given, "parent", self.models, location)
        numbers = list(given.values())
        if not all(is_number(number) and number >= 0 for number in numbers) or not sum(numbers):
            raise location.error(
                f"{as_written(given)} is not a ratio",
                expected="numbers from 0 up, one of them above it",
            )
        return {model: given.get(model, 0) / sum(numbers) for model in self.models}

    def _named(self, given: Any, location: Location) -> Values:
        """The values of a start that names dimensions; the others take their neutral one."""
        values = neutral_values(self.holes)
        if not isinstance(given, dict):
            raise location.error(
                f"{as_written(given)} does not name dimensions", expected="{DIMENSION: value, ...}"
            )
        _refuse_unknown(given, "dimension", values, location)
        values |= given
        for hole in self.holes:
            for dimension in hole.dimensions():
                value = values[dimension.name]
                if not dimension.holds(value):
                    raise (location / dimension.name).error(
                        f"{as_written(value)} is not in the space", expected=dimension.in_words
                    )
        return values

    def _mixture(self, mixture: _Mixture, location: Location) -> Values:
        """The values that make a mixture; one outside the ranges is refused."""
        values: Values = {}
        for hole in self.holes:
            value = mixture.value(hole)
            for dimension in hole.dimensions():
                if not dimension.holds(value):
                    raise location.error(
                        f"needs {dimension.name} = {as_written(value)}",
                        expected=f"a range that holds it, not {dimension.in_words}",
                        fix="widen the range, or leave that start out of start_from",
                    )
                values[dimension.name] = value
        return values

    def _error(self, entry: Any, location: Location) -> InputError:
        return location.error(
            f"{as_written(entry)} is not a start",
            expected=f"a list of {', '.join(FORMS)}, with parents {', '.join(self.models)}",
        )


def _refuse_unknown(
    given: Mapping[Any, Any], what: str, known: Collection[str], location: Location
) -> None:
    for name in given:
        if name not in known:
            raise location.error(
                f"unknown {what} {as_written(name)}",
                expected=", ".join(known),
                fix=did_you_mean(str(name), known),
            )


class _Mixture:
    """A ratio of parents, as the part that each input of a document has in the result.

    A parent's part is divided equally among its inputs; a stage's part is that of its own inputs.
    """

    def __init__(self, document: Mapping[str, Any], ratio: Mapping[str, float]) -> None:
        self._document = document
        self._ratio = ratio
        self._stages = {str(merge["name"]): merge for path, merge in merges_of(document) if path}
        chosen = [
            self._model(entry)
            for _, merge in merges_of(document)
            for _, inputs in input_lists(merge)
            for entry in inputs
        ]
        self._inputs = {parent: chosen.count(parent) for parent in ratio}

    def value(self, hole: Hole) -> Value:
        """Return the value of each of a hole's dimensions."""
        if hole.structural and hole.key == "model":
            return self._model(value_at(self._document, hole.path[:-1]))
        if hole.parameter is None or hole.parameter.role != "share" or hole.times is not None:
            return neutral_value(hole)
        if not hole.parameter.per_parent:
            return self._share_beside_base(hole.path)
        for end, key in enumerate(hole.path[:-1], 1):
            if key in ("models", "sources"):
                return self._share(value_at(self._document, hole.path[:end]), int(hole.path[end]))
        return neutral_value(hole)

    def _model(self, entry: Mapping[str, Any]) -> str | None:
        """The model of an input; of several choices the first that the ratio names."""
        offered = choices_of(entry.get("model"))
        named = [model for model in offered if self._ratio.get(model)]
        chosen = (named or ([None] if None in offered else offered))[0]
        return None if chosen is None else str(chosen)

    def _part(self, entry: Mapping[str, Any]) -> float:
        """The part of the whole result that an input stands for."""
        model = self._model(entry) or ""
        if model in self._stages:
            lists = input_lists(self._stages[model])
            return sum(self._part(inner) for _, inputs in lists for inner in inputs)
        return self._ratio.get(model, 0.0) / max(1, self._inputs.get(model, 1))

    def _share(self, inputs: Sequence[Mapping[str, Any]], index: int) -> float:
        """What part of its list of inputs one makes up; equal parts where none has any."""
        parts = [self._part(entry) for entry in inputs]
        total = sum(parts)
        return parts[index] / total if total else 1.0 / len(parts)

    def _share_beside_base(self, path: KeyPath) -> float:
        """The part of the second of two inputs, the base being the first."""
        merge = value_at(self._document, path[: 2 if path[0] == "stages" else 0])
        _, inputs = next(input_lists(merge))
        base = merge.get("base_model")
        others = [index for index, entry in enumerate(inputs) if entry.get("model") != base]
        return self._share(inputs, max(others, default=len(inputs) - 1))


class _Rounds(_Mixture):
    """Two parents in equal parts in every stage, and then stages and the first parent 3:1."""

    def value(self, hole: Hole) -> Value:
        self._in_stage = hole.path[0] == "stages"
        return super().value(hole)

    def _part(self, entry: Mapping[str, Any]) -> float:
        model = self._model(entry) or ""
        if self._in_stage:
            return float(bool(self._ratio.get(model)))
        if model in self._stages:
            return 3.0 / len(self._stages)
        return float(model == max(self._ratio, key=lambda ref: self._ratio[ref]))
