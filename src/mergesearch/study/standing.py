"""How a trial stands: its scores with their intervals, and whether it beats each parent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mergesearch.errors import ScoringError
from mergesearch.objectives import (
    ItemResult,
    Objective,
    PairedDifference,
    Rung,
    Score,
    paired_difference,
)
from mergesearch.study.choosing import chance_better
from mergesearch.study.records import TrialRecord

ItemsOf = Callable[[int, Rung], Sequence[ItemResult]]
"""Gives a trial's item results on a rung, by its number."""


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
