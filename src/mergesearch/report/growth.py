"""How the front of a search grew: its members, what is new of them, and its hypervolume."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mergesearch.report import text
from mergesearch.study.front import may_be_member, search_values
from mergesearch.study.pareto import hypervolume, members_of, sign_of
from mergesearch.study.records import Axis, TrialRecord

_BARS = "▁▂▃▄▅▆▇█"

Members = Mapping[int, Sequence[float]]
"""Search values of the members of a front by trial, in the order of the axes."""


class Growth:
    """The front of a search as it grows; a trial costs no more for those before it.

    Args:
        axes: Objectives in the order of the objectives file.

    Attributes:
        members: Search values of the members by trial, in the order of the axes.
        volumes: Hypervolume after each finished trial, in their order.
    """

    def __init__(self, axes: Sequence[Axis]) -> None:
        self.members: Members = {}
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


def front_news(axes: Sequence[Axis], before: Members, after: Members, trial: int) -> str | None:
    """Return what a new member brings, None for a trial that is none.

    It is the best in an objective yet, or it has more of one than any member before it that was as
    good in the others.

    Args:
        axes: Objectives in the order of the objectives file.
        before: Front without the trial.
        after: Front with the trial.
    """
    if trial not in after:
        return None
    gains = [_gain(axis, after[trial], axes, before) for axis in axes]
    found = max(
        (said for said in gains if said is not None), default=(0.0, "fills a gap of the front")
    )
    gone = [str(other) for other in before if other not in after]
    beaten = f"; better than trial{'s' if len(gone) > 1 else ''} {', '.join(gone)}" if gone else ""
    return f"trial {trial}: {found[1]}{beaten}"


def _gain(
    axis: Axis, values: Sequence[float], axes: Sequence[Axis], former: Members
) -> tuple[float, str] | None:
    """By how much a member is ahead in an objective, as a share of its value, and in words."""
    mine = _gains(values, axes)
    others = [_gains(other, axes) for other in former.values()]
    sign = sign_of(axis.direction)
    word = "less" if sign < 0 else "more"
    best = max((other[axis.name] for other in others), default=None)
    value = text.value(sign * mine[axis.name], axis.percent)
    if best is None:
        return 0.0, f"the first on the front, {axis.name} {value}"
    if mine[axis.name] > best:
        ahead = mine[axis.name] - best
        amount = text.amount(ahead, axis.percent)
        return 1.0 + ahead, f"the best {axis.name} yet, {value}: {amount} {word} than before"
    as_good = [
        other[axis.name]
        for other in others
        if all(other[name] >= mine[name] for name in mine if name != axis.name)
    ]
    if not as_good or mine[axis.name] <= max(as_good):
        return None
    ahead = mine[axis.name] - max(as_good)
    return ahead, f"{text.amount(ahead, axis.percent)} {word} {axis.name} at no loss"


def _gains(values: Sequence[float], axes: Sequence[Axis]) -> Mapping[str, float]:
    """Values by objective, turned so that more is better."""
    return {
        axis.name: value * sign_of(axis.direction) for axis, value in zip(axes, values, strict=True)
    }
