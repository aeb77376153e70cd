"""How a trial and a whole front stand, in lines: intervals, and what they are better than."""

from __future__ import annotations

from collections.abc import Sequence

from mergesearch.recipe.shares import short_names
from mergesearch.report import text
from mergesearch.study.records import Axis
from mergesearch.study.standing import HypervolumeDifference, Standing


def standing_lines(standing: Standing, axes: Sequence[Axis]) -> list[str]:
    """Return how a trial stands, one line for its scores and two for each parent."""
    if not standing.scores:
        return []
    scores = ", ".join(
        f"{axis.name} {text.interval(standing.scores[axis.name], axis.percent)}" for axis in axes
    )
    items = f"{standing.rung} items"
    if standing.confirmed:
        items = "search and validate items, shrunk towards similar trials"
    lines = [f"{scores} (95 % intervals, {items})"]
    names = short_names([against.parent for against in standing.parents])
    for name, against in zip(names, standing.parents, strict=True):
        ahead = ", ".join(
            f"{axis.name} {text.difference(against.differences[axis.name], axis.percent)}"
            for axis in axes
        )
        chances = ", ".join(
            f"{axis.name} {text.chance(against.chances[axis.name])}" for axis in axes
        )
        lines += [
            f"minus {name} (trial {against.trial}, {against.rung} items): {ahead}",
            f"chance of being better than {name}: {chances}",
        ]
    return lines


def sweep_line(difference: HypervolumeDifference) -> str:
    """Return whether a search beats the sweep, in hypervolume.

    Args:
        difference: Difference of the hypervolumes, the search's minus the sweep's.
    """
    low, high = difference.interval()
    shown = f"{difference.value:+.4f} ({low:+.4f} to {high:+.4f})"
    if low > 0:
        verdict = f"beats the sweep by {shown}"
    elif high < 0:
        verdict = f"falls behind the sweep: {shown}"
    else:
        verdict = f"does not beat the sweep beyond error: {shown}"
    return f"hypervolume: the search {verdict}, 95 % interval, {difference.rung} items"
