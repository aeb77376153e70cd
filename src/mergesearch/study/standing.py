"""How a trial stands against each parent, and a front against another one."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mergesearch.errors import ScoringError
from mergesearch.objectives import (
    ItemResult,
    Objective,
    PairedDifference,
    Rung,
    Score,
    paired_difference,
)
from mergesearch.objectives.types import normal_interval
from mergesearch.study.estimation.estimates import estimate
from mergesearch.study.pareto import Floats, hypervolume, sign_of
from mergesearch.study.records import Axis, TrialRecord

DRAWS = 1000
_SEED = 7  # seed of the draws; the same items give the same interval

ItemsOf = Callable[[int, Rung], Sequence[ItemResult]]
"""Gives a trial's item results on a rung, by its number."""
Members = Mapping[str, Iterable[ItemResult]]
"""Item results of a front's members, by the digest of the candidate."""


@dataclass(frozen=True)
class AgainstParent:
    """A trial against a parent alone, on the items that both were scored on.

    Attributes:
        parent: Id of the parent.
        trial: Number of the trial that has the parent alone.
        rung: Rung whose items were compared.
        differences: Paired difference of each objective, the trial's minus the parent's.
        chances: Chance that the trial really is better, by objective.
    """

    parent: str
    trial: int
    rung: Rung
    differences: Mapping[str, PairedDifference]
    chances: Mapping[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison as JSON has it."""
        return {
            "parent": self.parent,
            "trial": self.trial,
            "rung": str(self.rung),
            "differences": {
                name: {"value": difference.value, "stderr": difference.stderr, "n": difference.n}
                for name, difference in self.differences.items()
            },
            "chances": dict(self.chances),
        }


@dataclass(frozen=True)
class Standing:
    """How a trial stands.

    Attributes:
        trial: Number of the trial.
        rung: Rung of the scores: the validate items where the trial was scored on them.
        scores: Score of each objective.
        parents: Comparison with each parent that a trial has alone, other than the trial itself.
        confirmed: Whether the scores are what search and validate items tell together.
    """

    trial: int
    rung: Rung
    scores: Mapping[str, Score]
    parents: tuple[AgainstParent, ...]
    confirmed: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return the standing as JSON has it."""
        return {
            "rung": str(self.rung),
            "confirmed": self.confirmed,
            "scores": {
                name: asdict(score) | {"interval": list(score.interval())}
                for name, score in self.scores.items()
            },
            "parents": [parent.to_dict() for parent in self.parents],
        }


def standing(
    trial: TrialRecord,
    rivals: Iterable[TrialRecord],
    items_of: ItemsOf,
    objectives: Sequence[Objective],
) -> Standing:
    """Return how a trial stands against the trials that have a parent alone.

    They are compared on the validate items where both were scored on those, else on the search
    items. Of two trials of one parent the first counts.

    Args:
        rivals: Trials that have a parent alone.
        items_of: Function that gives the item results of a trial on a rung.
    """
    first_of = {rival.parent: rival for rival in reversed(list(rivals))}
    against = [
        _against(trial, rival, items_of, objectives)
        for rival in sorted(first_of.values(), key=lambda rival: rival.number)
        if rival.number != trial.number
    ]
    rung = _rung(trial)
    return Standing(
        trial.number, rung, trial.scores(rung), tuple(found for found in against if found)
    )


def _rung(*trials: TrialRecord) -> Rung:
    """The rung on which all trials are looked at."""
    confirmed = all(trial.scores(Rung.VALIDATE) for trial in trials)
    return Rung.VALIDATE if confirmed else Rung.SEARCH


def _against(
    trial: TrialRecord,
    rival: TrialRecord,
    items_of: ItemsOf,
    objectives: Sequence[Objective],
) -> AgainstParent | None:
    """The comparison with one parent; None where both were scored on too few common items."""
    rung = _rung(trial, rival)
    ours, theirs = items_of(trial.number, rung), items_of(rival.number, rung)
    try:
        differences = {
            objective.name: paired_difference(objective, ours, theirs) for objective in objectives
        }
    except ScoringError:
        return None
    chances = {
        objective.name: chance_better(
            differences[objective.name].value,
            differences[objective.name].stderr,
            objective.direction,
        )
        for objective in objectives
    }
    return AgainstParent(rival.parent or "", rival.number, rung, differences, chances)


def chance_better(difference: float, stderr: float, direction: str) -> float:
    """Return the chance that the first of two candidates really is better in an objective.

    Args:
        difference: Their paired difference, first minus second.
        stderr: Standard error of the difference.
        direction: `maximize` or `minimize`.
    """
    gain = sign_of(direction) * difference
    if stderr == 0.0:
        return float(np.heaviside(gain, 0.5))
    return 0.5 * math.erfc(-gain / stderr / math.sqrt(2))


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
