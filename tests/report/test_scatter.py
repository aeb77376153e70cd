"""The scatter of a run, as literal text."""

from __future__ import annotations

from dataclasses import replace

import pytest
from helpers.records import AXES, TRIALS, shown, trial

from mergesearch.report.scatter import render_scatter
from mergesearch.study.front import Front

ALONE = (
    trial(5, 0.75, 0.15, shares={"demo:instruct": 1.0, "demo:reason": 0.0}),
    trial(6, 0.2, 0.6, shares={"demo:instruct": 0.0, "demo:reason": 1.0}),
)
EVERY = (*TRIALS, *ALONE)
SCATTER = """\
   reasoning
80 ┤
   │                         │
60 ┤                      ───●───
   │            ▲            │         ──◆───
   │                               ·     │
40 ┤
   │                                          ──●───
   │                                            │
20 ┤                                            ───▲───
   │                                               │
 0 ┤
   └┬───────────┬────────────┬────────────┬───────────┬
    0          20           40           60          80
                                            instruction
◆ knee   ● front   · dominated   ─│ standard error
▲ instruct (trial 5), reason (trial 6)"""


def test_trials_members_errors_parents_and_the_knee_are_drawn() -> None:
    assert shown(render_scatter(Front.of(AXES, EVERY), EVERY, 60), 60) == SCATTER


def test_less_is_better_runs_to_the_right_and_up() -> None:
    axes = (replace(AXES[0], direction="minimize", reference=1.0), AXES[1])
    lines = shown(render_scatter(Front.of(axes, TRIALS), TRIALS, 60), 60).splitlines()
    numbers = lines[-3].split()
    assert numbers == sorted(numbers, key=float, reverse=True)


def test_values_beyond_one_are_not_percent() -> None:
    axes = (AXES[0], replace(AXES[1], direction="minimize", reference=9.0, percent=False))
    trials = [trial(0, 0.5, 5.25), trial(1, 0.6, 7.5)]
    text = shown(render_scatter(Front.of(axes, trials), trials, 60), 60)
    assert "5.0 ┤" in text
    assert "8.0 ┤" in text


@pytest.mark.parametrize("width", [48, 80, 200])
def test_it_fits_and_one_trial_is_enough(width: int) -> None:
    text = shown(render_scatter(Front.of(AXES, TRIALS[:1]), TRIALS[:1], width), width)
    assert text.count("◆") == 2  # the knee, and the legend


def test_a_sweep_has_marks_of_its_own() -> None:
    swept = (trial(0, 0.3, 0.4), trial(1, 0.2, 0.5))
    plain = render_scatter(Front.of(AXES, TRIALS), TRIALS, 80).plain
    drawn = render_scatter(Front.of(AXES, TRIALS), TRIALS, 80, swept).plain
    assert ("×" in plain, drawn.count("×")) == (False, 3)
    assert "× sweep" in drawn
