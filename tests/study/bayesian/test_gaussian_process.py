import numpy as np
import pytest

from mergesearch.study.bayesian.gaussian_process import _Evidence, fit_process, matern
from mergesearch.study.bayesian.geometry import Geometry

RANGES = Geometry.plain([False, False])


def hill(points):
    return 1.0 - (points[:, 0] - 0.3) ** 2 - 0.1 * points[:, 1]


def fitted(n=30, error=0.05, seed=0):
    rng = np.random.default_rng(seed)
    points = rng.random((n, 2))
    values = hill(points) + rng.normal(0, error, n)
    return points, fit_process(points, values, error**2 * np.eye(n), RANGES)


def test_the_correlation_is_matern_five_halves():
    from sklearn.gaussian_process.kernels import Matern

    rng = np.random.default_rng(0)
    left, right = rng.random((4, 2)), rng.random((3, 2))
    squares = np.tensordot([4.0, 0.25], RANGES.distances(left, right), 1)
    assert matern(squares) == pytest.approx(Matern([0.5, 2.0], nu=2.5)(left, right))


def test_the_gradient_of_the_evidence_is_its_slope():
    rng = np.random.default_rng(0)
    points = rng.random((12, 3))
    points[:, 2] = rng.integers(2, size=12)
    noise = 0.1 * np.eye(12) + 0.05
    evidence = _Evidence(points, rng.normal(size=12), noise, Geometry.plain([False, False, True]))
    at = evidence.start() + rng.normal(0, 0.3, 5)
    _, gradient = evidence.loss(at)
    for index, step in enumerate(1e-6 * np.eye(5)):
        slope = (evidence.loss(at + step)[0] - evidence.loss(at - step)[0]) / 2e-6
        assert gradient[index] == pytest.approx(slope, abs=1e-6)


def test_what_neighbours_say_is_nearer_the_truth_than_what_was_observed():
    points, process = fitted()
    mean, covariance = process.posterior
    observed = process.values + process.mean
    truth = hill(points)
    assert np.std(mean - truth) < 0.6 * np.std(observed - truth)
    assert np.mean(np.abs(mean - truth) < 1.96 * np.sqrt(np.diag(covariance))) > 0.85


def test_a_precise_observation_counts_more_than_a_vague_one():
    points = np.array([[0.5, 0.5], [0.5, 0.5], [0.0, 0.0], [1.0, 1.0]])
    values = np.array([1.0, 0.0, 0.2, 0.3])
    process = fit_process(points, values, np.diag([0.0001, 1.0, 0.01, 0.01]), RANGES)
    assert process.posterior[0][0] == pytest.approx(1.0, abs=0.02)
    assert process.posterior[0][1] > 0.8


def test_an_error_that_all_share_changes_no_difference():
    points, alone = fitted()
    values = alone.values + alone.mean
    noise = alone.noise + 4.0
    shared = fit_process(points, values, noise, RANGES)
    difference = np.diff(shared.posterior[0])
    assert difference == pytest.approx(np.diff(alone.posterior[0]), abs=0.02)


def test_known_truths_are_met_and_doubt_grows_away_from_them():
    points, process = fitted()
    truths = hill(points)[None]
    means, variances = process.given(truths, np.vstack([points[:1], [[5.0, 5.0]]]))
    assert variances[0] < 0.1 * variances[1]
    assert means[0, 0] == pytest.approx(truths[0, 0], abs=0.02)


def test_slopes_are_those_of_means_and_variances():
    points, process = fitted()
    truths = np.stack([hill(points), process.values])
    at = np.array([0.4, 0.6])
    means, variance, mean_slopes, variance_slopes = process.slopes(truths, at)
    told, told_variance = process.given(truths, at[None])
    assert means == pytest.approx(told[:, 0])
    assert variance == pytest.approx(told_variance)
    for column, step in enumerate(1e-6 * np.eye(2)):
        above, below = (process.given(truths, at[None] + sign * step) for sign in (1, -1))
        slope = (above[0][:, 0] - below[0][:, 0]) / 2e-6
        assert mean_slopes[:, column] == pytest.approx(slope, abs=1e-5)
        slope = (above[1][0] - below[1][0]) / 2e-6
        assert variance_slopes[column] == pytest.approx(slope, abs=1e-6)


def test_what_is_foreseen_is_the_regression_of_another_implementation():
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern

    points, process = fitted()
    kernel = ConstantKernel(process.amplitude, "fixed") * Matern(
        process.scales**-0.5, "fixed", nu=2.5
    )
    noise = 0.05**2 + process.roughness
    peer = GaussianProcessRegressor(kernel, alpha=noise, optimizer=None)
    peer.fit(points, process.values)
    places = np.random.default_rng(1).random((5, 2))
    means, errors = peer.predict(places, return_std=True)
    found, variances = process.foreseen(places)
    assert found == pytest.approx(process.mean + means)
    assert variances == pytest.approx(errors**2)


def test_slopes_of_what_is_foreseen_are_those_of_means_and_variances():
    _, process = fitted()
    at = np.array([0.4, 0.6])
    mean, variance, mean_slope, variance_slope = process.foreseen_slopes(at)
    assert process.foreseen(at[None]) == (pytest.approx([mean]), pytest.approx([variance]))
    for column, step in enumerate(1e-6 * np.eye(2)):
        (above, wide), (below, narrow) = (
            process.foreseen((at + step)[None]),
            process.foreseen((at - step)[None]),
        )
        assert mean_slope[column] == pytest.approx((above - below)[0] / 2e-6, abs=1e-5)
        assert variance_slope[column] == pytest.approx((wide - narrow)[0] / 2e-6, abs=1e-5)
