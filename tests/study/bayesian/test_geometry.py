import numpy as np
import pytest
from scipy.fft import dct

from mergesearch.space.holes import Dimension
from mergesearch.study.bayesian.geometry import Geometry

DIMENSIONS = [
    Dimension("method", choices=("linear", "ties")),
    *(Dimension(f"w[{index}]", 0.0, 1.5, curve="w") for index in range(3)),
    Dimension("density", 0.3, 1.0),
]


def test_two_different_choices_are_as_far_apart_as_the_ends_of_a_range():
    points = np.array([[0.0, 0.0], [1.0, 2.0], [0.5, 2.0]])
    gaps = Geometry.plain([False, True]).distances(points, points)
    assert gaps[0].tolist() == [[0.0, 1.0, 0.25], [1.0, 0.0, 0.25], [0.25, 0.25, 0.0]]
    assert gaps[1].tolist() == [[0.0, 1.0, 1.0], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]


def test_curves_are_compared_by_their_waves():
    geometry = Geometry.of(DIMENSIONS)
    curve = np.array([0.2, 0.9, 0.4])
    point = np.array([[1.0, *curve, 0.5]])
    gaps = geometry.distances(point, np.zeros((1, 5)))[:, 0, 0]
    assert gaps == pytest.approx([1.0, *dct(curve, norm="ortho") ** 2, 0.25])


def test_a_wave_matters_less_the_finer_it_is():
    assert Geometry.of(DIMENSIONS).relevance == pytest.approx([1, 1, 1 / 4, 1 / 9, 1])


def test_a_curve_that_is_level_differs_in_its_level_alone():
    geometry = Geometry.of(DIMENSIONS)
    level = np.array([[0.0, 0.5, 0.5, 0.5, 0.0]])
    gaps = geometry.distances(level, np.zeros((1, 5)))[:, 0, 0]
    assert gaps == pytest.approx([0, 0.75, 0, 0, 0])


def test_slopes_are_those_of_the_scaled_distances():
    geometry = Geometry.of(DIMENSIONS)
    rng = np.random.default_rng(0)
    scales, point, other = rng.random(5), rng.random(5), rng.random((1, 5))
    point[0] = other[0, 0] = 0.0

    def square(at):
        return float(scales @ geometry.distances(at[None], other)[:, 0, 0])

    slopes = geometry.slopes(point - other, scales)[0]
    assert slopes[0] == 0.0
    for column, step in enumerate(1e-6 * np.eye(5)[1:], start=1):
        slope = (square(point + step) - square(point - step)) / 2e-6
        assert slopes[column] == pytest.approx(slope)
