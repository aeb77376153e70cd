"""How the hypervolume grew, and what a trial changed on the front, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from helpers.records import AXES, RUNNING, TRIALS, trial

from mergesearch.report.growth import Growth, front_news, hypervolumes, sparkline
from mergesearch.study.front import Front
from mergesearch.study.records import Axis, TrialRecord

FORMER = (trial(0, 0.7, 0.3), trial(1, 0.4, 0.6))


def test_the_hypervolume_after_each_finished_trial() -> None:
    found = hypervolumes(AXES, (*TRIALS, RUNNING))
    expected = [Front.of(AXES, TRIALS[: count + 1]).hypervolume for count in range(5)]
    assert found == expected


def test_bars_go_from_the_least_to_the_largest() -> None:
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7], 40) == "▁▂▃▄▅▆▇█"
    assert sparkline([1.0, 1.0], 40) == "▁▁"
    assert sparkline([], 40) == ""


def test_many_values_are_thinned_out_and_the_last_is_kept() -> None:
    assert sparkline([0.0] * 99 + [1.0], 5) == "▁▁▁▁█"


def news(instruction: float, reasoning: float, axes: tuple = AXES) -> str | None:
    found = trial(2, instruction, reasoning)
    return told(axes, (*FORMER, found))


def told(axes: Sequence[Axis], trials: Sequence[TrialRecord]) -> str | None:
    """What the last of some trials brings."""
    growth, before = Growth(axes), {}
    for found in trials:
        before = growth.members
        growth.take(found)
    return front_news(axes, before, growth.members, trials[-1].number)


def test_more_of_one_at_no_loss_of_the_other() -> None:
    assert news(0.6, 0.45) == "trial 2: 20.0 points more instruction at no loss"
    assert news(0.45, 0.6) == "trial 2: 30.0 points more reasoning at no loss; better than trial 1"


def test_the_best_yet() -> None:
    assert news(0.3, 0.65) == "trial 2: the best reasoning yet, 65.0: 5.0 points more than before"


def test_both_at_once_name_what_they_beat() -> None:
    assert news(0.8, 0.61) == (
        "trial 2: the best instruction yet, 80.0: 10.0 points more than before;"
        " better than trials 0, 1"
    )


def test_less_is_better_where_it_is() -> None:
    axes = (AXES[0], replace(AXES[1], direction="minimize", reference=9.0, percent=False))
    former = (trial(0, 0.7, 5.0), trial(1, 0.4, 3.0))
    after = (*former, trial(2, 0.4, 2.5))
    assert told(axes, after) == (
        "trial 2: the best reasoning yet, 2.50: 0.500 less than before; better than trial 1"
    )


def test_a_dominated_trial_is_no_news() -> None:
    assert news(0.3, 0.3) is None


def test_the_first_member() -> None:
    assert told(AXES, FORMER[:1]) == "trial 0: the first on the front, reasoning 30.0"
