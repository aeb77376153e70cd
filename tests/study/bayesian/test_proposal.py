import numpy as np
import pytest

from mergesearch.study.bayesian.gaussian_process import fit_process
from mergesearch.study.bayesian.geometry import Geometry
from mergesearch.study.bayesian.proposal import Observed, next_point, shrunk
from mergesearch.study.pareto import hypervolume

REFERENCE = np.zeros(2)
GEOMETRY = Geometry.plain([False, False, True])
BOTH = ["maximize", "maximize"]
NONE = np.zeros((0, 3))


def gains_of(points):
    """A trade-off along the first dimension, whose height the second and the choice decide."""
    height = 1 - (points[:, 1] - 0.7) ** 2 - 0.3 * (points[:, 2] != 1)
    return np.column_stack([height * points[:, 0], height * (1 - points[:, 0])])


def observed(n=10, error=0.02, failed=NONE, running=NONE):
    rng = np.random.default_rng(0)
    points = np.column_stack([rng.random(n), rng.random(n), rng.integers(3, size=n)])
    gains = gains_of(points) + rng.normal(0, error, (n, 2))
    return Observed(points, gains, np.stack([error**2 * np.eye(n)] * 2), failed, running)


def proposed(seen, seed=0, *, cautious=True):
    rng = np.random.default_rng(seed)
    return next_point(seen, GEOMETRY, [0, 0, 3], REFERENCE, rng, cautious=cautious)


def test_more_is_known_of_a_cautious_proposal():
    seen = observed()
    process = fit_process(seen.points, seen.gains[:, 0], seen.noise[0], GEOMETRY)
    cautious, expected = (proposed(seen, cautious=cautious) for cautious in (True, False))
    _, variances = process.foreseen(np.stack([cautious, expected]))
    assert variances[0] < variances[1]


@pytest.mark.long
def test_a_dozen_proposals_reach_most_of_what_there_is():
    """The best front has a hypervolume of 0.5; ten random points have 0.28."""
    seen = observed()
    rng = np.random.default_rng(1)
    for number in range(12):
        point = proposed(seen, number)
        points = np.vstack([seen.points, point])
        gains = np.vstack([seen.gains, gains_of(point[None]) + rng.normal(0, 0.02, (1, 2))])
        noise = np.stack([0.02**2 * np.eye(len(points))] * 2)
        seen = Observed(points, gains, noise, NONE, NONE)
    first = hypervolume(gains_of(seen.points[:10]), REFERENCE, BOTH)
    last = hypervolume(gains_of(seen.points), REFERENCE, BOTH)
    assert first < 0.3
    assert last > 0.42


def test_the_same_record_gives_the_same_point():
    assert proposed(observed()).tolist() == proposed(observed()).tolist()


def test_the_search_leaves_the_place_of_a_failure_and_of_a_trial_that_runs():
    here = proposed(observed())
    for other in (observed(failed=here[None]), observed(running=here[None])):
        assert np.abs(proposed(other) - here).max() > 0.05


@pytest.mark.parametrize(
    "gains",
    [np.full((6, 2), 0.3), np.column_stack([np.linspace(0, 1, 6), np.full(6, 0.2)])],
    ids=["both", "one"],
)
def test_constant_objectives_and_equal_points_are_borne(gains):
    points = np.tile([0.5, 0.5, 1.0], (6, 1))
    seen = Observed(points, gains, np.stack([1e-6 * np.eye(6)] * 2), NONE, NONE)
    assert np.isfinite(proposed(seen)).all()


def test_an_error_that_all_share_stays_an_error_when_values_are_shrunk():
    """The items of the search were easy for everybody: no number of candidates tells."""
    rng = np.random.default_rng(0)
    points = rng.random((30, 3)) * [1, 1, 0]
    noise = 0.05**2 * np.ones((30, 30)) + 0.01**2 * np.eye(30)
    seen = Observed(points, gains_of(points), np.stack([noise] * 2), NONE, NONE)
    _, covariances = shrunk(seen, GEOMETRY)
    for covariance in covariances:
        assert 0.04 < np.sqrt(covariance.mean()) < 0.06
