"""What a search tries first: `start_from` as values of the space's dimensions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from mergesearch.errors import SpaceError
from mergesearch.space.document import KeyPath, choices_of, input_lists, merges_of, value_at
from mergesearch.space.holes import Hole, Value

Values = dict[str, Value]
"""A value for each dimension, by its name."""


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

    `parents` is each parent alone; `ratio` is a mixture, its numbers scaled to sum to 1; `values`
    names dimensions.

    Attributes:
        document: Document of the space.
        holes: Holes of the space.
        where: Name of the space for messages.
        models: Parents that can be mixed: the inputs that are not stages, in order, choices of a
            hole included.
    """

    def __init__(self, document: Mapping[str, Any], holes: Sequence[Hole], where: str) -> None:
        self.document = document
        self.holes = holes
        self.where = where
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

        Where the space says nothing, the parents that lie inside its ranges come first.

        Raises:
            SpaceError: An entry is malformed, or its weights lie outside the ranges.
        """
        if start_from is not None and not isinstance(start_from, list):
            raise self._error(start_from)
        found = (
            self._parents_inside()
            if start_from is None
            else (values for entry in start_from for values in self._entry(entry))
        )
        starts: list[Values] = []
        for values in found:
            if values not in starts:
                starts.append(values)
        return starts

    def _parents_inside(self) -> Iterator[Values]:
        for ratio in self._alone():
            with suppress(SpaceError):
                yield self._mixture(ratio)

    def _entry(self, entry: Any) -> list[Values]:
        match entry:
            case "parents":
                return [self._mixture(ratio) for ratio in self._alone()]
            case {"values": given, **rest} if not rest:
                return [self._named(given)]
            case {"ratio": given, **rest} if not rest:
                return [self._mixture(self._ratio(given, entry))]
        raise self._error(entry)

    def _alone(self) -> list[dict[str, float]]:
        """For each parent the ratio that has it alone."""
        return [{model: float(model == alone) for model in self.models} for alone in self.models]

    def _ratio(self, given: Any, entry: Any) -> dict[str, float]:
        if not isinstance(given, dict) or not given or not set(given) <= set(self.models):
            raise self._error(entry)
        numbers = list(given.values())
        valid = all(type(number) in (int, float) and number >= 0 for number in numbers)
        if not valid or not sum(numbers):
            raise self._error(entry)
        return {model: given.get(model, 0) / sum(numbers) for model in self.models}

    def _named(self, given: Any) -> Values:
        """The values of a start that names dimensions; the others take their neutral one."""
        values = neutral_values(self.holes)
        if not isinstance(given, dict) or not set(given) <= set(values):
            raise SpaceError(
                f"{given!r} does not name dimensions",
                where=f"{self.where}: start_from",
                expected=", ".join(values),
            )
        values |= given
        for hole in self.holes:
            for dimension in hole.dimensions():
                if not dimension.holds(values[dimension.name]):
                    raise SpaceError(
                        f"{values[dimension.name]!r} is not in the space",
                        where=f"{self.where}: start_from, {dimension.name}",
                    )
        return values

    def _mixture(self, ratio: Mapping[str, float]) -> Values:
        """The values that mix the parents in a ratio."""
        mixture = _Mixture(self.document, ratio)
        values: Values = {}
        for hole in self.holes:
            value = mixture.value(hole)
            for dimension in hole.dimensions():
                if not dimension.holds(value):
                    raise SpaceError(
                        f"start_from needs {dimension.name} = {value}",
                        where=self.where,
                        expected=f"a range that holds it, not {dimension.low} to {dimension.high}",
                        fix="widen the range, or leave that start out of start_from",
                    )
                values[dimension.name] = value
        return values

    def _error(self, entry: Any) -> SpaceError:
        return SpaceError(
            f"{entry!r} is not a start",
            where=f"{self.where}: start_from",
            expected="a list of `parents`, {values: {DIMENSION: value, ...}} and"
            " {ratio: {PARENT: number, ...}}, with parents " + ", ".join(self.models),
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
        for end, key in enumerate(hole.path, 1):
            if key in ("models", "sources") and end < len(hole.path):
                return self._share(value_at(self._document, hole.path[:end]), int(hole.path[end]))
        return neutral_value(hole)

    def _model(self, entry: Mapping[str, Any]) -> str | None:
        """The model of an input; of several choices the first that the ratio names."""
        offered = choices_of(entry.get("model"))
        named = [model for model in offered if self._ratio.get(model, 0.0) > 0.0]
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
