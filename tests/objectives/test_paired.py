"""Paired differences, against NumPy's mean and standard deviation of the items' differences."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from helpers.objectives_file import load
from hypothesis import given
from hypothesis import strategies as st

from mergesearch.errors import ScoringError
from mergesearch.objectives import ItemResult, Objective, paired_difference

ONE = "objectives: {o: {tasks: [{task: say, metric: exact}]}}"


def items(task: str, metric: str, values: Sequence[float | None]) -> list[ItemResult]:
    return [
        ItemResult(task, index, {}, "too long")
        if value is None
        else ItemResult(task, index, {metric: value})
        for index, value in enumerate(values)
    ]


def objective(text: str = ONE) -> Objective:
    (found,) = load(text).objectives
    return found


def test_items_are_paired_and_flips_are_counted_each_way() -> None:
    first = items("say", "exact", [1, 1, 0, 1, 0])
    found = paired_difference(objective(), first, items("say", "exact", [0, 1, 0, 0, 1]))
    # per item: 1, 0, 0, 1, -1; their variance is 0.7
    assert found.value == pytest.approx(0.2)
    assert found.stderr == pytest.approx((0.7 / 5) ** 0.5)
    assert (found.n, found.n_unscored, found.better, found.worse) == (5, 0, 2, 1)
    low, high = found.interval()
    assert (low, high) == pytest.approx(
        (0.2 - 1.959964 * found.stderr, 0.2 + 1.959964 * found.stderr)
    )
    assert found.interval(0.5)[1] == pytest.approx(0.2 + 0.6744898 * found.stderr)
    assert found.tasks[0].interval() == found.interval()


def test_the_order_of_items_does_not_matter_and_other_tasks_are_ignored() -> None:
    first, second = items("say", "exact", [1, 1, 0]), items("say", "exact", [0, 1, 1])
    other = items("pick", "acc", [1, 1])
    expected = paired_difference(objective(), first, second)
    assert paired_difference(objective(), [*other, *first[::-1]], second) == expected


def test_where_less_is_better_the_better_items_are_the_smaller_ones() -> None:
    text = "objectives: {o: {direction: minimize, reference: 9, tasks: [{task: t, metric: x}]}}"
    found = paired_difference(
        objective(text), items("t", "x", [1, 2, 5]), items("t", "x", [2, 3, 3])
    )
    assert (found.value, found.better, found.worse) == (0.0, 2, 1)


def test_items_that_one_of_both_did_not_score_are_left_out() -> None:
    first = items("say", "exact", [1, None, 0, 1])
    second = [*items("say", "exact", [0, 1, None, 1]), ItemResult("say", 9, {"exact": 1.0})]
    found = paired_difference(objective(), first, second)
    assert (found.value, found.n, found.n_unscored) == (0.5, 2, 3)


def test_differences_are_on_the_scale_from_chance() -> None:
    text = "objectives: {o: {tasks: [{task: say, metric: acc, chance: 0.5}]}}"
    first, second = items("say", "acc", [1, 1, 0, 1]), items("say", "acc", [0, 1, 0, 0])
    found = paired_difference(objective(text), first, second)
    assert found.value == 1.0  # 0.5 of a range of 0.5
    assert found.stderr == pytest.approx(2 * (1 / 3) ** 0.5 / 2)


TWO = """
objectives:
  o:
    reference: 0
    tasks:
      - {task: say, metric: strict, weight: 3}
      - {task: say, metric: loose, weight: 1}
      - {task: pick, metric: acc, weight: 4, chance: 0.25}
"""
TABLES = st.integers(2, 12).flatmap(
    lambda n: st.lists(st.lists(st.integers(0, 1), min_size=n, max_size=n), min_size=6, max_size=6)
)


@given(TABLES)
def test_tasks_and_metrics_are_weighted_as_numpy_would(table: list[list[int]]) -> None:
    """Metrics of one task share its items, so their errors are not independent."""
    strict, loose, acc = np.array(table[:3], float)
    others = np.array(table[3:], float)
    sides = [
        [
            ItemResult("say", index, {"strict": a, "loose": b})
            for index, (a, b) in enumerate(zip(*rows[:2], strict=True))
        ]
        + items("pick", "acc", rows[2].tolist())
        for rows in ((strict, loose, acc), tuple(others))
    ]
    found = paired_difference(objective(TWO), *sides)
    say = 3 / 8 * (strict - others[0]) + 1 / 8 * (loose - others[1])
    pick = 1 / 2 * (acc - others[2]) / 0.75
    n = len(say)
    assert found.value == pytest.approx(say.mean() + pick.mean())
    assert found.stderr == pytest.approx(((say.var(ddof=1) + pick.var(ddof=1)) / n) ** 0.5)
    assert [(task.better, task.worse) for task in found.tasks] == [
        (int((gaps > 0).sum()), int((gaps < 0).sum())) for gaps in (say, pick)
    ]
    back = paired_difference(objective(TWO), *sides[::-1])
    assert back.value == pytest.approx(-found.value)
    assert (back.better, back.worse) == (found.worse, found.better)


def test_a_single_common_item_has_no_error() -> None:
    with pytest.raises(ScoringError, match="say: 1 items that both scored"):
        paired_difference(objective(), items("say", "exact", [1, None]), items("say", "exact", [1]))


def test_a_metric_that_is_not_there_is_an_error() -> None:
    with pytest.raises(ScoringError, match=r"say, item 0: no metric 'exact'\n  expected: acc"):
        paired_difference(objective(), items("say", "acc", [1, 1]), items("say", "acc", [1, 1]))
