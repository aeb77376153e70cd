"""Two fronts compared on items whose differences can be counted by hand."""

import numpy as np
import pytest

from mergesearch.objectives import ItemResult, Objective, Rung, TaskUse
from mergesearch.study.records import Axis
from mergesearch.study.standing import HypervolumeDifference, hypervolume_difference

AXES = (Axis("words", "maximize", 0.0), Axis("sums", "maximize", 0.0))
OBJECTIVES = tuple(
    Objective(name, (TaskUse(name, "exact"),), "maximize", 0.0) for name in ("words", "sums")
)
ITEMS = 400


def results(words: float, sums: float, seed: int) -> list[ItemResult]:
    """Results with exactly these shares of right answers, in an order that the seed shuffles."""
    found = []
    for task, share in (("words", words), ("sums", sums)):
        hits = np.random.default_rng(seed).permutation(np.arange(ITEMS) < share * ITEMS)
        found += [ItemResult(task, item, {"exact": float(hit)}) for item, hit in enumerate(hits)]
    return found


def test_the_difference_is_that_of_both_hypervolumes() -> None:
    ours = {"a": results(0.5, 0.5, 1)}
    theirs = {"b": results(0.4, 0.6, 2), "c": results(0.5, 0.3, 3)}
    found = hypervolume_difference(AXES, OBJECTIVES, ours, theirs, Rung.SEARCH)
    assert found.ours == pytest.approx(0.25, abs=1e-3)
    assert found.theirs == pytest.approx(0.4 * 0.6 + 0.1 * 0.3, abs=1e-3)
    low, high = found.interval()
    assert low < found.value < high
    # One point of 0.5 each with an error of 0.025: that of their product is 0.018.
    assert 0.015 < found.stderr < 0.04


def test_a_front_against_itself_is_no_difference() -> None:
    front = {"a": results(0.5, 0.5, 1), "b": results(0.3, 0.7, 2)}
    found = hypervolume_difference(AXES, OBJECTIVES, front, front, Rung.SEARCH)
    assert (found.value, found.stderr) == (0.0, 0.0)


def test_common_items_leave_the_difference() -> None:
    """The same answers but for one item: the error is far below that of one hypervolume."""
    first = results(0.5, 0.5, 1)
    index = next(index for index, item in enumerate(first) if not item.metrics["exact"])
    second = [*first]
    second[index] = ItemResult(first[index].task, first[index].item, {"exact": 1.0})
    found = hypervolume_difference(AXES, OBJECTIVES, {"b": second}, {"a": first}, Rung.SEARCH)
    assert found.value == pytest.approx(0.5 / ITEMS, rel=0.2)
    assert found.stderr < 0.005


def test_the_interval_is_two_errors_wide() -> None:
    assert HypervolumeDifference(0.12, 0.1, 0.01, Rung.SEARCH).interval() == pytest.approx(
        (0.0004, 0.0396), abs=1e-6
    )
