"""How the hypervolume grew."""

from __future__ import annotations

from helpers.records import AXES, RUNNING, TRIALS

from mergesearch.report.growth import hypervolumes, sparkline
from mergesearch.study.front import Front


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
