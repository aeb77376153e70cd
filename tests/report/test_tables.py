"""What `search front` and `search show` print, as literal text."""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from helpers.records import AXES, RUN, TRIALS, measurement, scores, shown, trial, validated

from mergesearch.report.status import Status, render_status
from mergesearch.report.tables import render_front, render_trial, trial_line
from mergesearch.study.front import Front
from mergesearch.study.records import Axis, TrialRecord

FRONT = Front.of(AXES, TRIALS)


def status_of(axes: Sequence[Axis], trials: Sequence[TrialRecord]) -> str:
    status = Status(replace(RUN, axes=tuple(axes)), Front.of(axes, trials), trials, running=False)
    return shown(render_status(status, 0.0), 120)


@pytest.fixture(autouse=True)
def _in_utc(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize("width", [80, 120])
def test_the_front_shows_both_rungs_side_by_side(width: int) -> None:
    assert shown(render_front(FRONT, width), width) == (
        "          instruction  instruction   reasoning   reasoning\n"
        "   trial       search    validated      search   validated  shares\n"
        "──────────────────────────────────────────────────────────────────\n"
        "       0   70.8 ± 4.4   68.8 ± 4.4  30.0 ± 4.5  31.0 ± 4.5  75/25\n"
        "◆      2   60.0 ± 4.4            –  55.0 ± 4.5           –  75/25\n"
        "       1   40.0 ± 4.4   38.0 ± 4.4  64.2 ± 4.5  65.2 ± 4.5  75/25\n"
        "◆ knee\n"
        "shares in %: instruct / reason\n"
        "hypervolume 0.2221, 5 trials, 1 failed"
    )


def test_the_front_stacks_them_where_there_is_no_room() -> None:
    assert shown(render_front(FRONT, 60), 60) == (
        "   trial  instruction   reasoning  shares\n"
        "─────────────────────────────────────────\n"
        "       0   70.8 ± 4.4  30.0 ± 4.5  75/25\n"
        "           68.8 ± 4.4  31.0 ± 4.5\n"
        "◆      2   60.0 ± 4.4  55.0 ± 4.5  75/25\n"
        "                    –           –\n"
        "       1   40.0 ± 4.4  64.2 ± 4.5  75/25\n"
        "           38.0 ± 4.4  65.2 ± 4.5\n"
        "◆ knee; below each score: validated\n"
        "shares in %: instruct / reason\n"
        "hypervolume 0.2221, 5 trials, 1 failed"
    )


def test_side_by_side_needs_just_its_own_width() -> None:
    assert "validated  shares" in shown(render_front(FRONT, 66), 66)
    assert "below each score" in shown(render_front(FRONT, 65), 65)


def test_before_validation_there_is_one_column_an_objective() -> None:
    front = Front.of(AXES, [TRIALS[2], TRIALS[4]])
    assert shown(render_front(front, 80), 80) == (
        "   trial  instruction   reasoning  shares\n"
        "─────────────────────────────────────────\n"
        "◆      2   60.0 ± 4.4  55.0 ± 4.5  75/25\n"
        "◆ knee\n"
        "shares in %: instruct / reason\n"
        "hypervolume 0.1800, 2 trials"
    )


def test_values_beyond_one_are_not_percent_and_shares_may_be_negative() -> None:
    axes = (AXES[0], Axis("reasoning", "minimize", 9.0, percent=False))
    front = Front.of(axes, [trial(4, 0.5, 5.25, shares={"a/x": -0.1, "b/x": 1.1})])
    text = shown(render_front(front, 80), 80)
    assert "◆      4   50.0 ± 4.4  5.25 ± 0.0451  -10/110" in text
    assert "shares in %: a/x / b/x" in text


def test_an_empty_front_says_so() -> None:
    assert shown(render_front(Front.of(AXES, []), 80), 80) == "no front yet: 0 trials"


def test_a_trial_is_shown_with_all_that_is_on_record() -> None:
    assert shown(render_trial(TRIALS[0], RUN), 80) == (
        "trial 0\n"
        "state   complete, started 2030-01-02 03:04:05\n"
        f"digest  {'00' * 32}\n"
        "size    2.4 MB\n"
        "time    search: built in 0.4 s, scored in 3.2 s\n"
        "time    validate: built in 0.4 s, scored in 3.2 s\n"
        "shares  instruct 75.4 %, reason 24.6 %\n"
        "\n"
        "objective    rung           score  items  unscored\n"
        "──────────────────────────────────────────────────\n"
        "instruction  search    70.8 ± 4.4    120         1\n"
        "instruction  validate  68.8 ± 4.4    300         1\n"
        "reasoning    search    30.0 ± 4.5    120         0\n"
        "reasoning    validate  31.0 ± 4.5    300         0\n"
        "\n"
        "recipe\n"
        "  merge_method: linear\n"
        "  models:\n"
        "  - model: demo:instruct\n"
        "    parameters:\n"
        "      weight: [0.9, 0.6]\n"
        "  dtype: bfloat16\n"
        "  quantize: Q4_K_M"
    )


def test_a_failed_trial_is_shown_with_its_whole_reason() -> None:
    text = shown(render_trial(TRIALS[3], RUN), 60)
    assert "reason  trial 3: killed by SIGSEGV\n          to do: look\n" in text
    assert "objective" not in text


def test_a_reason_that_would_steer_the_terminal_is_written_out_whole() -> None:
    failed = replace(TRIALS[3], failure="\x1b[2J" * 12)
    text = shown(render_trial(failed, RUN), 60)
    reason = text.split("reason  ")[1].split("shares")[0]
    assert "".join(reason.split()) == "\\u001b[2J" * 12


def test_a_trial_that_was_not_scored_itself_says_whose_scores_it_has() -> None:
    rungs = {"search": measurement(scores(0.5, 0.5))}
    text = shown(render_trial(trial(9, 0, 0, reused_from=2, rungs=rungs), RUN), 60)
    assert "scores  those of trial 2, the same candidate" in text
    assert "attempt" not in text
    assert ", attempt 3," in shown(render_trial(trial(9, 0, 0, attempt=3), RUN), 60)


def test_a_finished_trial_in_one_line() -> None:
    assert trial_line(validated(0, 0.7083, 0.3), AXES) == (
        "instruction 70.8 ± 4.4, reasoning 30.0 ± 4.5, 4.0 s"
    )
    assert trial_line(trial(9, 0.5, 0.5, reused_from=2), AXES) == (
        "instruction 50.0 ± 4.4, reasoning 50.0 ± 4.5, 4.0 s (same candidate as trial 2)"
    )
    assert trial_line(TRIALS[3], AXES) == "failed: trial 3: killed by SIGSEGV"


def test_proxies_are_shown_in_nat_with_how_far_they_can_be_trusted() -> None:
    axes = (replace(AXES[0], proxy=True), AXES[1])
    members = []
    for number, (proxy, value) in enumerate([(-0.9, 0.1), (-0.8, 0.3), (-0.7, 0.2), (-0.6, 0.0)]):
        found = {
            "proxy": measurement(scores(proxy, 0.5)),
            "search": measurement(scores(value, 0.5)),
        }
        members.append(trial(number, 0, 0, rungs=found))
    assert trial_line(trial(9, 0, 0, rungs={"proxy": measurement(scores(-0.5, 0.4))}), axes) == (
        "instruction -0.500 ± 0.0437 nat (proxy), reasoning 40.0 ± 4.5, 4.0 s"
    )
    unknown = "proxy: rank correlation with the metric not known yet, over 4 promoted trials"
    assert unknown in status_of(axes, members)
    members.append(trial(4, 0, 0, rungs=members[0].rungs))
    note = "proxy: rank correlation with the metric -0.16 over 5 promoted trials; below 0.5: do not"
    assert note in status_of(axes, members)
    text = shown(render_front(Front.of(axes, members), 120), 120)
    assert f"instruction: {note} trust it" in text
    assert "-0.5" not in text  # the front holds metrics


def test_shares_are_broken_between_parents_where_there_is_no_room() -> None:
    shares = {"a": -0.34, "b": 0.0, "c": 1.34}
    trials = (replace(TRIALS[0], shares=shares), replace(TRIALS[1], shares=shares))
    front = Front.of(AXES, trials)
    lines = shown(render_front(front, 43), 43).splitlines()
    assert [line[35:] for line in lines[2:6]] == ["-34/0/", "134", "-34/0/", "134"]
