from __future__ import annotations

import math
import random
import statistics

import pytest

from mergesearch.objectives import MetricValue
from mergesearch.scoring.aggregate import combine, item_value, named_metrics, standard_error


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, 1.0),
        (0.25, 0.25),
        ([True, False, True, True], 0.75),
        ((-6.0, 3), -2.0),
        ((2, 2), 1.0),
        ((1, 2), 0.0),
        ("text", None),
        ([True, "text"], None),
        ([], None),
        ((-6.0, 0), None),
    ],
)
def test_the_value_of_an_item(value, expected):
    assert item_value(value) == expected


def test_standard_error_by_closed_form_or_bootstrap():
    def mean(values):
        return sum(values) / len(values)

    assert standard_error([0.0, 1.0], mean, lambda values: 0.5) == 0.5
    assert standard_error([1.0], mean, lambda values: 0.5) == math.inf
    values = [0.0, 1.0] * 50
    assert standard_error(values, mean, None) == pytest.approx(0.05, rel=0.15)
    assert standard_error(values, mean, None) == standard_error(values, mean, None)


def test_the_bootstrap_is_200_seeded_draws():
    values = [0.0, 1.0, 1.0, 4.0]
    drawing = random.Random(0)
    draws = [max(drawing.choices(values, k=4)) for _ in range(200)]
    assert standard_error(values, max, None) == pytest.approx(statistics.stdev(draws))


def test_groups_weigh_by_size_or_plainly():
    parts = [(MetricValue(1.0, 0.3), 30), (MetricValue(0.0, 0.4), 10)]
    assert combine(parts, by_size=True).value == 0.75
    assert combine(parts, by_size=True).stderr == pytest.approx(math.hypot(0.225, 0.1))
    assert combine(parts, by_size=False).value == 0.5
    assert combine(parts, by_size=False).stderr == pytest.approx(0.25)


def test_a_task_with_one_item_takes_the_spread_of_the_others():
    parts = [(MetricValue(0.5, 0.1), 16), (MetricValue(1.0, math.inf), 1)]
    assert combine(parts, by_size=True).value == pytest.approx(9 / 17)
    spread = 0.4  # of one item: 0.1 * sqrt(16)
    expected = math.hypot(16 / 17 * 0.1, 1 / 17 * spread)
    assert combine(parts, by_size=True).stderr == pytest.approx(expected)
    assert combine(parts[1:], by_size=True) == MetricValue(1.0, math.inf)


def test_an_unknown_error_shrinks_with_the_tasks_items():
    parts = [(MetricValue(0.5, 0.1), 16), (MetricValue(1.0, math.inf), 4)]
    expected = math.hypot(0.5 * 0.1, 0.5 * 0.4 / 2)
    assert combine(parts, by_size=False).stderr == pytest.approx(expected)


def test_names_of_metrics():
    one = {("acc", "none"): 1}
    assert named_metrics(one, 1, ()) == {"acc": 1}
    assert named_metrics(one, 1, {"acc,none"}) == {"acc": 1, "acc,none": 1}
    two = {("em", "strict"): 1, ("em", "loose"): 2}
    assert named_metrics(two, 2, ()) == {"em,strict": 1, "em,loose": 2}
