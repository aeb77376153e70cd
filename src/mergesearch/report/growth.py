"""How the hypervolume grew, and a line of characters that shows it."""

from __future__ import annotations

from collections.abc import Sequence

from mergesearch.study.pareto import hypervolume
from mergesearch.study.records import Axis, State, TrialRecord

_BARS = "▁▂▃▄▅▆▇█"


def hypervolumes(axes: Sequence[Axis], trials: Sequence[TrialRecord]) -> list[float]:
    """Return the hypervolume of the search's front after each finished trial, in their order."""
    directions = [axis.direction for axis in axes]
    reference = [axis.reference for axis in axes]
    values: list[list[float]] = []
    found: list[float] = []
    for trial in trials:
        if not trial.finished:
            continue
        counts = trial.state is State.COMPLETE and trial.reused_from is None and trial.scores()
        if counts and not (trial.race is not None and trial.race.stopped):
            values.append([trial.scores()[axis.name].value for axis in axes])
            found.append(hypervolume(values, reference, directions))
        else:
            found.append(found[-1] if found else 0.0)
    return found


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
