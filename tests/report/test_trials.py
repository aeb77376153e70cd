"""All trials of a run, as literal text and in the order that is asked for."""

from __future__ import annotations

from dataclasses import replace

from helpers.records import AXES, RUNNING, TRIALS, shown, trial

from mergesearch.report.trials import in_order, render_trials
from mergesearch.study.front import Front
from mergesearch.study.records import RaceRecord

EVERY = (*TRIALS, RUNNING)


def test_every_trial_has_a_line_with_its_mark_and_its_reason() -> None:
    text = shown(render_trials(Front.of(AXES, EVERY), EVERY), 80)
    assert text == (
        "   trial  instruction   reasoning  shares    time\n"
        "────────────────────────────────────────────────────────────────────────────────\n"
        "●      0   70.8 ± 4.4  30.0 ± 4.5  75/25    4.0 s\n"
        "●      1   40.0 ± 4.4  64.2 ± 4.5  75/25    4.0 s\n"
        "◆      2   60.0 ± 4.4  55.0 ± 4.5  75/25    4.0 s\n"
        "       3            –           –  75/25    4.0 s  failed: trial 3: killed by S…\n"
        "       4   50.0 ± 4.4  50.0 ± 4.5  -10/110  4.0 s\n"
        "       5            –           –  75/25           running\n"
        "◆ knee   ● front\n"
        "shares in %: instruct / reason"
    )


def test_a_trial_with_the_scores_of_another_says_so() -> None:
    again = trial(6, 0.6, 0.55, reused_from=2)
    text = shown(render_trials(Front.of(AXES, [*EVERY, again]), [again]), 80)
    assert "       6   60.0 ± 4.4  55.0 ± 4.5  75/25   4.0 s  as trial 2" in text


def test_a_trial_that_racing_stopped_says_so() -> None:
    raced = trial(6, 0.6, 0.55, race=RaceRecord(1, 900, 0.1, checked=False, stopped=True))
    text = shown(render_trials(Front.of(AXES, [raced]), [raced]), 80)
    assert "       6   60.0 ± 4.4  55.0 ± 4.5  75/25   4.0 s  stopped early" in text


def test_the_best_in_an_objective_comes_first_and_what_has_none_last() -> None:
    assert [trial.number for trial in in_order(EVERY, AXES, "instruction")] == [0, 2, 4, 1, 3, 5]
    least = (replace(AXES[0], direction="minimize"), AXES[1])
    assert [trial.number for trial in in_order(EVERY, least, "instruction")] == [1, 4, 2, 0, 3, 5]
    assert [trial.number for trial in in_order(EVERY[::-1], AXES, "number")] == [0, 1, 2, 3, 4, 5]
    slow = replace(TRIALS[2], started=TRIALS[2].started.replace(second=1))
    assert [trial.number for trial in in_order((slow, *EVERY[4:], TRIALS[0]), AXES, "seconds")] == [
        0,
        4,
        2,
        5,
    ]
