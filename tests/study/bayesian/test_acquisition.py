import numpy as np
import pytest

from mergesearch.study.bayesian.acquisition import CAUTION, CautiousGain, ExpectedGain, best_point
from mergesearch.study.bayesian.gaussian_process import fit_process
from mergesearch.study.bayesian.geometry import Geometry
from mergesearch.study.pareto import hypervolume

REFERENCE = np.zeros(2)


def processes_of(n=12, seed=0):
    """Two objectives whose best trade-off is the first dimension, the second one at 0.7."""
    rng = np.random.default_rng(seed)
    points = np.column_stack([rng.random(n), rng.random(n), rng.integers(3, size=n)])
    height = 1 - (points[:, 1] - 0.7) ** 2 - 0.3 * (points[:, 2] != 1)
    gains = np.column_stack([height * points[:, 0], height * (1 - points[:, 0])])
    geometry = Geometry.plain([False, False, True])
    noise = 1e-4 * np.eye(n)
    return points, [fit_process(points, column, noise, geometry) for column in gains.T]


def observed():
    points, processes = processes_of()
    return points, ExpectedGain(processes, REFERENCE, np.random.default_rng(1))


def cautious():
    points, processes = processes_of()
    return points, CautiousGain(processes, REFERENCE)


@pytest.mark.parametrize("acquired", [observed, cautious])
def test_the_slope_is_that_of_the_improvement(acquired):
    _, acquisition = acquired()
    point = np.array([0.45, 0.5, 1.0])
    gain, slope = acquisition.slope(point)
    assert gain == pytest.approx(acquisition(point[None])[0])
    for column, step in enumerate(1e-6 * np.eye(3)[:2]):
        told = (acquisition((point + step)[None])[0] - acquisition((point - step)[None])[0]) / 2e-6
        assert slope[column] == pytest.approx(told, abs=1e-5)
    assert slope[2] == 0.0
    assert gain > 0.0


def test_a_cautious_gain_is_what_lower_bounds_add_to_the_hypervolume_of_lower_bounds():
    _, processes = processes_of()
    bounds = [
        mean - CAUTION * np.sqrt(np.diag(errors))
        for mean, errors in (process.posterior for process in processes)
    ]
    front = np.column_stack(bounds)
    place = np.array([[0.45, 0.65, 1.0]])
    foreseen = [process.foreseen(place) for process in processes]
    added = [mean[0] - CAUTION * np.sqrt(variance[0]) for mean, variance in foreseen]
    both = ["maximize", "maximize"]
    before = hypervolume(front, REFERENCE, both)
    after = hypervolume(np.vstack([front, added]), REFERENCE, both)
    assert CautiousGain(processes, REFERENCE)(place)[0] == pytest.approx(after - before)
    assert after > before


def test_a_cautious_gain_is_nothing_where_nothing_is_known():
    _, processes = processes_of()
    assert CautiousGain(processes, REFERENCE)(np.array([[9.0, 9.0, 0.0]]))[0] == 0.0


@pytest.mark.parametrize("acquired", [observed, cautious])
def test_the_best_point_beats_every_point_of_a_grid_within_the_bounds(acquired):
    points, acquisition = acquired()
    best = best_point(acquisition, points, [0, 0, 3], np.random.default_rng(2))
    sides = np.linspace(0, 1, 12)
    grid = np.array([[x, y, z] for x in sides for y in sides for z in range(3)], dtype=float)
    assert acquisition(best[None])[0] >= 0.999 * acquisition(grid).max()
    assert (best >= 0).all()
    assert (best[:2] <= 1).all()
    assert best[2] in (0.0, 1.0, 2.0)


def test_the_same_seed_finds_the_same_point():
    points, acquisition = observed()
    first, second = (
        best_point(acquisition, points, [0, 0, 3], np.random.default_rng(3)) for _ in range(2)
    )
    assert first.tolist() == second.tolist()
