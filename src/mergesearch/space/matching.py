"""What two spaces have in common: values of one as values of the other.

Holes are the same where they have the same name, or stand at the same place of both documents (a
smaller sibling of a model has another name). A curve of another number of points is read off the
other's; a group takes what the other has for all tensors, and the other way round the mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from statistics import fmean

from mergesearch.space.holes import Dimension, Hole, Value
from mergesearch.space.starts import neutral_values

Values = Mapping[str, Value]


class Matching:
    """Translates values of one space into values of another.

    Args:
        holes: Holes of the space that values are wanted for.
        others: Holes of the space that values are known of.
    """

    def __init__(self, holes: Sequence[Hole], others: Sequence[Hole]) -> None:
        self._holes = holes
        names = {hole.dimension.name for hole in holes}
        self._pairs = [(hole, other) for hole in holes if (other := _same(hole, others, names))]

    def matched(self) -> list[str]:
        """Return the names of the dimensions that the other space knows of."""
        names = (dimension.name for hole, _ in self._pairs for dimension in hole.dimensions())
        return list(dict.fromkeys(names))

    def unmatched(self) -> list[str]:
        """Return the names of the dimensions that the other space knows nothing of."""
        names = (dimension.name for hole in self._holes for dimension in hole.dimensions())
        known = self.matched()
        return [name for name in dict.fromkeys(names) if name not in known]

    def by_place(self) -> dict[str, str]:
        """Return the other space's name of each hole that is the same by its place alone."""
        return {
            hole.dimension.name: other.dimension.name
            for hole, other in self._pairs
            if hole.dimension.name != other.dimension.name
        }

    def translate(self, values: Values) -> dict[str, Value]:
        """Return a value for each dimension, neutral where the other space knows nothing.

        Numbers outside of a range become its nearer end.
        """
        found = neutral_values(self._holes)
        for hole, other in self._pairs:
            for group, names in hole.names().items():
                given = _resampled(_of_group(other, group, values), len(names))
                for name, value in zip(names, given, strict=True):
                    found[name] = _inside(hole.dimension, other.dimension, value, found[name])
        return found


def _same(hole: Hole, others: Sequence[Hole], names: Set[str]) -> Hole | None:
    """The hole of another space that asks for the same; `names` are those of all own holes."""
    alike = [other for other in others if _kind(other) == _kind(hole)]
    named = [other for other in alike if other.dimension.name == hole.dimension.name]
    free = (other for other in alike if other.dimension.name not in names)
    placed = [other for other in free if other.path == hole.path]
    return next(iter([*named, *placed]), None)


def _kind(hole: Hole) -> tuple[str, bool, bool]:
    return hole.key, bool(hole.dimension.choices), hole.times is not None


def _of_group(hole: Hole, group: str | None, values: Values) -> list[Value]:
    """The points of a group of a hole; of what it does not tell apart what it has for all."""
    by_group = {known: [values[name] for name in names] for known, names in hole.names().items()}
    if group in by_group:
        return by_group[group]
    if None in by_group:
        return by_group[None]
    curves = [_resampled(by_group[known], hole.curve) for known in by_group if known != "rest"]
    return [fmean(map(float, points)) for points in zip(*curves, strict=True)]


def _resampled(points: Sequence[Value], count: int) -> list[Value]:
    """The same curve over the depth as another number of points; a plain value is its mean."""
    if len(points) in (1, count):
        return list(points) * (count if len(points) == 1 else 1)
    numbers = [float(point) for point in points]  # type: ignore[arg-type]
    if count == 1:
        return [fmean(numbers)]
    found: list[Value] = []
    for index in range(count):
        place = index / (count - 1) * (len(numbers) - 1)
        low = min(int(place), len(numbers) - 2)
        found.append(numbers[low] + (place - low) * (numbers[low + 1] - numbers[low]))
    return found


def _inside(dimension: Dimension, other: Dimension, value: Value, neutral: Value) -> Value:
    """The value as the dimension can have it; of as many choices the one at the same place."""
    if not dimension.choices:
        return min(max(float(value), dimension.low), dimension.high)  # type: ignore[arg-type]
    if value in dimension.choices:
        return value
    if len(dimension.choices) == len(other.choices):
        return dimension.choices[other.choices.index(value)]
    return neutral
