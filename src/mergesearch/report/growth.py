"""How the front of a search grew, and a line of characters that shows its hypervolume."""

from __future__ import annotations

from collections.abc import Sequence

from mergesearch.study.front import may_be_member, search_values
from mergesearch.study.pareto import hypervolume, members_of
from mergesearch.study.records import Axis, TrialRecord

_BARS = "▁▂▃▄▅▆▇█"


class Growth:
    """The front of a search as it grows; a trial costs no more for those before it.

    Args:
        axes: Objectives in the order of the objectives file.

    Attributes:
        members: Search values of the members by trial, in the order of the axes.
        volumes: Hypervolume after each finished trial, in their order.
    """

    def __init__(self, axes: Sequence[Axis]) -> None:
        self.members: dict[int, Sequence[float]] = {}
        self.volumes: list[float] = []
        self._axes = axes
        self._directions = [axis.direction for axis in axes]

    def take(self, trial: TrialRecord) -> None:
        """Take in a finished trial."""
        if may_be_member(trial):
            values = {**self.members, trial.number: search_values(self._axes, trial)}
            self.members = members_of(values, self._directions)
        reference = [axis.reference for axis in self._axes]
        members = list(self.members.values())
        self.volumes.append(hypervolume(members, reference, self._directions))


def hypervolumes(axes: Sequence[Axis], trials: Sequence[TrialRecord]) -> list[float]:
    """Return the hypervolume of the search's front after each finished trial, in their order."""
    growth = Growth(axes)
    for trial in trials:
        if trial.finished:
            growth.take(trial)
    return growth.volumes


def sparkline(values: Sequence[float], width: int) -> str:
    """Return values as bars from the least to the largest, the last ones of as many as fit.

    Args:
        values: Values, the first one first.
        width: Number of characters at most; more values are thinned out.
    """
    count = min(width, len(values))
    if count == 0:
        return ""
    picked = [values[(index + 1) * len(values) // count - 1] for index in range(count)]
    low, span = min(picked), max(picked) - min(picked)
    steps = len(_BARS) - 1
    return "".join(_BARS[round((value - low) / span * steps) if span else 0] for value in picked)
