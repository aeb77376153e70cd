import numpy as np
import pytest

from mergesearch.study.bayesian.improvement import (
    expected_improvement,
    free_boxes,
    improvement_slopes,
)
from mergesearch.study.pareto import hypervolume

FAR = 10.0


def fronts():
    rng = np.random.default_rng(0)
    return [rng.random((size, objectives)) for size in (1, 4, 9) for objectives in (1, 2, 3, 4)]


@pytest.mark.parametrize("front", fronts())
def test_free_boxes_and_dominated_volume_make_up_everything_above_the_reference(front):
    reference = np.full(front.shape[1], 0.1)
    lows, highs = free_boxes(front, reference)
    free = np.prod(np.minimum(highs, FAR) - lows, axis=1).sum()
    dominated = hypervolume(front, reference, ["maximize"] * front.shape[1])
    assert free + dominated == pytest.approx((FAR - 0.1) ** front.shape[1])


def test_a_front_below_the_reference_leaves_one_box():
    lows, highs = free_boxes(np.array([[0.0, 0.9]]), np.array([0.5, 0.5]))
    assert lows.tolist() == [[0.5, 0.5]]
    assert np.isinf(highs).all()


@pytest.mark.parametrize("objectives", [2, 3])
def test_improvement_without_doubt_is_the_hypervolume_that_a_point_adds(objectives):
    rng = np.random.default_rng(1)
    front, points = rng.random((5, objectives)), rng.random((20, objectives))
    reference, directions = np.zeros(objectives), ["maximize"] * objectives
    gained = expected_improvement(
        points, np.full(points.shape, 1e-9), *free_boxes(front, reference)
    )
    before = hypervolume(front, reference, directions)
    added = [hypervolume([*front, point], reference, directions) - before for point in points]
    assert gained == pytest.approx(added, abs=1e-7)


def test_expected_improvement_is_the_mean_over_draws():
    rng = np.random.default_rng(2)
    front, reference = np.array([[0.2, 0.8], [0.5, 0.5]]), np.zeros(2)
    mean, deviation = np.array([[0.5, 0.6]]), np.array([[0.1, 0.2]])
    draws = mean + deviation * rng.standard_normal((20000, 2))
    lows, highs = free_boxes(front, reference)
    exact = expected_improvement(mean, deviation, lows, highs)
    drawn = expected_improvement(draws, np.full(draws.shape, 1e-9), lows, highs)
    assert exact[0] == pytest.approx(drawn.mean(), rel=0.02)


def test_slopes_are_those_of_the_expected_improvement():
    lows, highs = free_boxes(np.array([[0.2, 0.8], [0.5, 0.5]]), np.zeros(2))
    mean, deviation = np.array([0.4, 0.7]), np.array([0.1, 0.2])

    def total(mean, deviation):
        return expected_improvement(mean[None], deviation[None], lows, highs)[0]

    gains, by_mean, by_deviation = improvement_slopes(
        np.tile(mean, (len(lows), 1)), deviation, lows, highs
    )
    assert gains.sum() == pytest.approx(total(mean, deviation))
    for column in range(2):
        step = 1e-6 * np.eye(2)[column]
        slope = (total(mean + step, deviation) - total(mean - step, deviation)) / 2e-6
        assert by_mean[:, column].sum() == pytest.approx(slope, abs=1e-6)
        slope = (total(mean, deviation + step) - total(mean, deviation - step)) / 2e-6
        assert by_deviation[:, column].sum() == pytest.approx(slope, abs=1e-6)
