"""What a trial changed on the front, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mergesearch.report import text
from mergesearch.study.front import Front, FrontMember
from mergesearch.study.records import Axis


def front_news(before: Front, after: Front, trial: int) -> str | None:
    """Return what a new member brings, None for a trial that is none.

    It is the best in an objective yet, or it has more of one than any member before it that was as
    good in the others.

    Args:
        before: Front without the trial.
        after: Front with it.
        trial: Number of the trial.
    """
    member = next((member for member in after.members if member.trial == trial), None)
    if member is None:
        return None
    gains = [_gain(axis, member, after.axes, before.members) for axis in after.axes]
    found = max(
        (said for said in gains if said is not None), default=(0.0, "fills a gap of the front")
    )
    gone = [str(other.trial) for other in before.members if not _has(after, other.trial)]
    beaten = f"; better than trial{'s' if len(gone) > 1 else ''} {', '.join(gone)}" if gone else ""
    return f"trial {trial}: {found[1]}{beaten}"


def _has(front: Front, trial: int) -> bool:
    return any(member.trial == trial for member in front.members)


def _gain(
    axis: Axis, member: FrontMember, axes: Sequence[Axis], former: Sequence[FrontMember]
) -> tuple[float, str] | None:
    """By how much a member is ahead in an objective, as a share of its value, and in words."""
    mine = _gains(member, axes)
    others = [_gains(other, axes) for other in former]
    word = "less" if axis.direction == "minimize" else "more"
    best = max((other[axis.name] for other in others), default=None)
    value = text.value(member.values[axis.name].value, axis.percent)
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


def _gains(member: FrontMember, axes: Sequence[Axis]) -> Mapping[str, float]:
    """Search values by objective, turned so that more is better."""
    return {
        axis.name: member.values[axis.name].value * (-1 if axis.direction == "minimize" else 1)
        for axis in axes
    }
