"""Whether one front is better than another: the difference of their hypervolumes and its error."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mergesearch.objectives import ItemResult, Objective, Rung
from mergesearch.objectives.types import normal_interval
from mergesearch.study.estimation.estimates import estimate
from mergesearch.study.pareto import Floats, hypervolume
from mergesearch.study.records import Axis

DRAWS = 1000
_SEED = 7  # seed of the draws; the same items give the same interval

Members = Mapping[str, Iterable[ItemResult]]
"""Item results of a front's members, by the digest of the candidate."""


@dataclass(frozen=True)
class HypervolumeDifference:
    """By how much one front is ahead of another.

    Attributes:
        ours: Hypervolume of the first front.
        theirs: Hypervolume of the second front.
        stderr: Standard error of the difference.
        rung: Rung on whose items the members of both were compared.
    """

    ours: float
    theirs: float
    stderr: float
    rung: Rung

    @property
    def value(self) -> float:
        """The difference, the first minus the second."""
        return self.ours - self.theirs

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Return the ends of the confidence interval of the difference (normal approximation)."""
        return normal_interval(self.value, self.stderr, confidence)


def hypervolume_difference(
    axes: Sequence[Axis],
    objectives: Sequence[Objective],
    ours: Members,
    theirs: Members,
    rung: Rung,
) -> HypervolumeDifference:
    """Compare two fronts on the items of one rung that their members were scored on.

    What members have in common, items or whole candidates, leaves the difference: its error is that
    of draws from the joint uncertainty of all members.

    Args:
        axes: Objectives with their directions and reference points.
        objectives: What the items are worth, in the same order.
        ours: Members of the first front.
        theirs: Members of the second front.
    """
    digests = list(dict.fromkeys([*ours, *theirs]))
    estimates = estimate(
        objectives,
        {row: ours.get(digest) or theirs[digest] for row, digest in enumerate(digests)},
    )
    rows = [[digests.index(digest) for digest in front] for front in (ours, theirs)]
    draws = estimates.draws(DRAWS, np.random.default_rng(_SEED))
    volumes = np.array([_volumes(axes, draw, rows) for draw in draws])
    first, second = _volumes(axes, estimates.values, rows)
    return HypervolumeDifference(first, second, float(np.std(volumes[:, 0] - volumes[:, 1])), rung)


def _volumes(axes: Sequence[Axis], values: Floats, rows: Sequence[Sequence[int]]) -> list[float]:
    """The hypervolume of each of several fronts, given as rows of `values` (rows, objectives)."""
    reference = [axis.reference for axis in axes]
    directions = [axis.direction for axis in axes]
    return [hypervolume(values[list(front)], reference, directions) for front in rows]
