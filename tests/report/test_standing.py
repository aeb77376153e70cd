"""How a trial and a front stand, as literal lines."""

import pytest
from helpers.records import AXES, trial

from mergesearch.objectives import PairedDifference, Rung
from mergesearch.report.standing import standing_lines, sweep_line
from mergesearch.study.standing import AgainstParent, HypervolumeDifference, Standing


def test_a_standing_is_a_line_of_intervals_and_two_for_each_parent() -> None:
    chances = {"instruction": 0.972, "reasoning": 0.9999}
    differences = {
        "instruction": PairedDifference("instruction", 0.021, 0.011, ()),
        "reasoning": PairedDifference("reasoning", 0.2, 0.05, ()),
    }
    against = AgainstParent("demo:instruct", 0, Rung.SEARCH, differences, chances)
    standing = Standing(2, Rung.VALIDATE, trial(2, 0.5, 0.4).scores(), (against,))
    assert standing_lines(standing, AXES) == [
        "instruction 50.0 (41.4 to 58.6), reasoning 40.0 (31.2 to 48.8)"
        " (95 % intervals, validate items)",
        "minus instruct (trial 0, search items): instruction +2.1 (-0.1 to +4.3),"
        " reasoning +20.0 (+10.2 to +29.8)",
        "chance of being better than instruct: instruction 97 %, reasoning over 99 %",
    ]


def test_confirmed_scores_are_what_all_items_tell() -> None:
    standing = Standing(2, Rung.VALIDATE, trial(2, 0.5, 0.4).scores(), (), confirmed=True)
    assert standing_lines(standing, AXES) == [
        "instruction 50.0 (41.4 to 58.6), reasoning 40.0 (31.2 to 48.8)"
        " (95 % intervals, search and validate items, shrunk towards similar trials)",
    ]


def test_a_trial_without_scores_has_no_lines() -> None:
    assert standing_lines(Standing(2, Rung.SEARCH, {}, ()), AXES) == []


@pytest.mark.parametrize(
    ("ours", "line"),
    [
        (0.15, "the search beats the sweep by +0.0500 (+0.0304 to +0.0696)"),
        (0.11, "the search does not beat the sweep beyond error: +0.0100 (-0.0096 to +0.0296)"),
        (0.05, "the search falls behind the sweep: -0.0500 (-0.0696 to -0.0304)"),
    ],
)
def test_a_search_is_told_whether_it_beats_the_sweep(ours: float, line: str) -> None:
    difference = HypervolumeDifference(ours, 0.1, 0.01, Rung.VALIDATE)
    expected = f"hypervolume: {line}, 95 % interval, validate items"
    assert sweep_line(difference) == expected
