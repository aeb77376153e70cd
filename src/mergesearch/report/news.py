"""What a trial changed on the front, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mergesearch.report import text
from mergesearch.study.records import Axis

Members = Mapping[int, Sequence[float]]
"""Search values of the members of a front by trial, in the order of the axes."""


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
    sign, word = (-1, "less") if axis.direction == "minimize" else (1, "more")
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
        axis.name: value * (-1 if axis.direction == "minimize" else 1)
        for axis, value in zip(axes, values, strict=True)
    }
