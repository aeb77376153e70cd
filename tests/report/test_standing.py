"""How a trial stands, as literal lines."""

from helpers.records import AXES, trial

from mergesearch.objectives import PairedDifference, Rung
from mergesearch.report.standing import standing_lines
from mergesearch.study.standing import AgainstParent, Standing


def test_a_standing_is_a_line_of_intervals_and_one_for_each_parent() -> None:
    chances = {"instruction": 0.972, "reasoning": 0.9999}
    differences = {name: PairedDifference(name, 0.0, 0.0, ()) for name in chances}
    against = AgainstParent("demo:instruct", 0, Rung.SEARCH, differences, chances)
    standing = Standing(2, Rung.VALIDATE, trial(2, 0.5, 0.4).scores(), (against,))
    assert standing_lines(standing, AXES) == [
        "instruction 50.0 (41.4 to 58.6), reasoning 40.0 (31.2 to 48.8)"
        " (95 % intervals, validate items)",
        "chance of being better than instruct (trial 0, search items): instruction 97 %,"
        " reasoning over 99 %",
    ]


def test_a_trial_without_scores_has_no_lines() -> None:
    assert standing_lines(Standing(2, Rung.SEARCH, {}, ()), AXES) == []
