"""Medians: against numpy's and scipy's, and the properties that define a geometric median."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.blockwise import merge
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from mergesearch.methods.medians import weiszfeld


def run(method: str, *inputs: np.ndarray, step: int = 2) -> np.ndarray:
    """Merge and collect statistics in blocks of `step` rows."""
    edges = range(step, len(inputs[0]), step)
    return merge(method, None, *inputs, counted=edges, merged=edges)


def parents(count: int, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.standard_normal((5, 4)).astype(np.float32) for _ in range(count)]


def cost(point: np.ndarray, inputs: list[np.ndarray]) -> float:
    """Sum of the distances to all parents."""
    return sum(float(np.linalg.norm(point.astype(float) - source)) for source in inputs)


def test_median_by_hand() -> None:
    """The middle entry of three, the mean of the middle two of four."""
    inputs = [np.array([[value, -value]], np.float32) for value in (1.0, 5.0, 2.0, 100.0)]
    assert run("median", *inputs[:3]).tolist() == [[2.0, -2.0]]
    assert run("median", *inputs).tolist() == [[3.5, -3.5]]


@given(seed=st.integers(0, 1000), count=st.integers(3, 6))
def test_geometric_median_minimizes_the_sum_of_distances(seed: int, count: int) -> None:
    """As a general minimizer finds it, from another start."""
    inputs = parents(count, seed)
    found = run("geometric_median", *inputs)
    best = minimize(
        lambda point: cost(point.reshape(5, 4), inputs),
        np.mean(inputs, axis=0, dtype=np.float64).ravel(),
        tol=1e-7,
    )
    assert cost(found, inputs) == pytest.approx(best.fun, rel=1e-6)
    np.testing.assert_allclose(found, best.x.reshape(5, 4), rtol=0, atol=2e-3)


def test_of_two_it_is_the_middle() -> None:
    a, b = parents(2)
    np.testing.assert_allclose(run("geometric_median", a, b), (a + b) / 2, rtol=0, atol=1e-6)


def test_equal_parents_stay_to_the_bit() -> None:
    a, b = parents(2)
    assert np.array_equal(run("geometric_median", a, a, a), a)
    a[2] = b[2]
    assert np.array_equal(run("geometric_median", a, b, a)[2], a[2])


def test_a_majority_in_one_place_is_the_median() -> None:
    """Three of five parents are the same: it is the geometric median, wherever the others are."""
    a, b, c = parents(3)
    found = run("geometric_median", a, b * np.float32(50), a, c, a)
    assert np.array_equal(found, a)


def test_an_odd_parent_does_not_move_it_far() -> None:
    inputs = parents(5)
    near = run("geometric_median", *inputs)
    moved = run("geometric_median", *inputs[:4], inputs[4] * np.float32(1e4))
    assert np.linalg.norm(moved - near) < 2 * np.linalg.norm(near)


def test_a_start_on_a_point_that_is_not_the_median_is_left() -> None:
    """Four corners of a square and the start on one of them: the middle, all parts equal."""
    corners = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], float)
    between = np.square(corners[:, None] - corners).sum(axis=-1)
    np.testing.assert_allclose(weiszfeld(between, between[0]), 0.25, atol=1e-6)


def test_a_point_inside_a_triangle_is_the_median_of_the_four() -> None:
    """Fagnano: of four points, one within the triangle of the others."""
    points = np.array([[0, 0], [4, 0], [0, 4], [1, 1]], float)
    between = np.square(points[:, None] - points).sum(axis=-1)
    found = weiszfeld(between, np.square(points - points.mean(axis=0)).sum(axis=-1))
    np.testing.assert_allclose(found @ points, [1.0, 1.0], atol=1e-12)
