"""multislerp and karcher against the definitions, written on whole vectors in float64."""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest
from helpers.blockwise import merge, random_tensors
from hypothesis import given
from hypothesis import strategies as st

from mergesearch.methods.spheres import karcher_mean

BASE, A, B, C = random_tensors(31, 4)


def unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def multislerp(vectors: list[np.ndarray], weights: np.ndarray, eps: float = 1e-8) -> np.ndarray:
    """With the step in the tangent space that turns out to have no length."""
    weights = weights / weights.sum()
    flat = [vector.ravel().astype(float) for vector in vectors]
    lengths = np.array([np.linalg.norm(vector) for vector in flat])
    units = [vector / (size + eps) for vector, size in zip(flat, lengths, strict=True)]
    mean = unit(sum(w * unit for w, unit in zip(weights, units, strict=True)))
    tangent = sum(w * (unit - (unit @ mean) * mean) for w, unit in zip(weights, units, strict=True))
    size = np.linalg.norm(tangent) + eps
    result = math.cos(size) * mean + math.sin(size) / size * tangent
    return (result * (lengths @ weights)).reshape(vectors[0].shape)


def karcher(vectors: list[np.ndarray], steps: int) -> np.ndarray:
    """Steps along the mean of the logarithms, without an end before the last."""
    flat = [vector.ravel().astype(float) for vector in vectors]
    units = [unit(vector) for vector in flat]
    mean = unit(sum(units))
    for _ in range(steps):
        angles = [math.acos(unit @ mean) for unit in units]
        logs = [
            angle / math.sin(angle) * (unit - math.cos(angle) * mean)
            for unit, angle in zip(units, angles, strict=True)
        ]
        step = sum(logs) / len(logs)
        size = float(np.linalg.norm(step))
        if size > 0:
            mean = unit(math.cos(size) * mean + math.sin(size) * step / size)
    length = np.mean([np.linalg.norm(vector) for vector in flat])
    return (length * mean).reshape(vectors[0].shape)


@pytest.mark.parametrize("weights", [(1.0, 1.0, 1.0), (0.2, 3.0, 0.5), (1.0, -0.4, 0.0)])
def test_multislerp_is_the_published_formula(weights: tuple[float, ...]) -> None:
    expected = multislerp([A, B, C], np.array(weights))
    found = merge("multislerp", None, A, B, C, counted=[4], weight=weights)
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6)
    expected = BASE + multislerp([A - BASE, B - BASE, C - BASE], np.array(weights))
    found = merge("multislerp", BASE, A, B, C, counted=[4], weight=weights)
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6)


def test_multislerp_by_hand() -> None:
    """Between two axes, lengths 1 and 3: in the middle, of length 2; raw weights double it."""
    x, y = np.array([[1.0, 0.0]], np.float32), np.array([[0.0, 3.0]], np.float32)
    found = merge("multislerp", None, x, y, weight=(0.7, 0.7))
    np.testing.assert_allclose(found, [[2**0.5, 2**0.5]], rtol=1e-6)
    found = merge("multislerp", None, x, y, weight=(1.0, 1.0), normalize_weights=False)
    np.testing.assert_allclose(found, [[2 * 2**0.5, 2 * 2**0.5]], rtol=1e-6)


def test_multislerp_adds_eps_to_every_length() -> None:
    x, y = np.array([[1.0, 0.0]], np.float32), np.array([[0.0, 3.0]], np.float32)
    expected = multislerp([x, y], np.array([1.0, 1.0]), eps=0.5)
    found = merge("multislerp", None, x, y, weight=(1.0, 1.0), eps=0.5)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_opposite_vectors() -> None:
    """Two are added straight, three that cancel have no mean."""
    found = merge("multislerp", None, A, -A, weight=(1.0, 1.0))
    np.testing.assert_allclose(found, 0 * A, atol=1e-7)
    x, y = np.array([[2.0, 0.0]], np.float32), np.array([[-6.0, 0.0]], np.float32)
    found = merge("multislerp", None, x, y, weight=(1.0, 1.0))
    assert found.tolist() == [[-2.0, 0.0]]
    three = [np.array([[math.cos(a), math.sin(a)]], np.float64) for a in (0, 2.0943951, 4.1887902)]
    three = [rows.astype(np.float32) for rows in three]
    assert np.isnan(merge("multislerp", None, *three, weight=(1.0,) * 3, eps=1e-6)).all()


def test_weights_that_sum_to_zero_are_not_normalized() -> None:
    assert np.isnan(merge("multislerp", None, A, B, weight=(1.0, -1.0))).all()
    found = merge("multislerp", None, A, B, weight=(1.0, -1.0), normalize_weights=False)
    assert np.isfinite(found).all()


def test_deltas_of_nothing_leave_the_base() -> None:
    """A tensor that no parent trained stays to the bit, of however many parents."""
    for count in (2, 3, 4):
        found = merge("multislerp", BASE, *[BASE] * count, weight=(0.3,) * count)
        assert np.array_equal(found, BASE)


@pytest.mark.parametrize("method", ["multislerp", "karcher"])
def test_one_parent_stays_to_the_bit(method: str) -> None:
    assert np.array_equal(merge(method, None, A, weight=(0.3,)), A)


@given(seed=st.integers(0, 10_000), count=st.integers(2, 5), steps=st.integers(0, 12))
def test_karcher_takes_the_steps_of_its_definition(seed: int, count: int, steps: int) -> None:
    vectors = random_tensors(seed, count)
    found = merge("karcher", None, *vectors, counted=[3], max_iter=steps, tol=0.0)
    np.testing.assert_allclose(found, karcher(vectors, steps), rtol=0, atol=3e-6)


def test_karcher_of_two_is_the_middle_of_the_arc() -> None:
    middle = unit(unit(A.astype(float)) + unit(B.astype(float)))
    length = (np.linalg.norm(A.astype(float)) + np.linalg.norm(B.astype(float))) / 2
    np.testing.assert_allclose(merge("karcher", None, A, B), length * middle, rtol=0, atol=1e-6)


def test_karcher_stops_where_the_pulls_balance() -> None:
    """The sum of the arcs to all directions vanishes at the mean."""
    coefficients = karcher_mean(products_of(A, B, C), 1000, 1e-12)
    mean = sum(c * rows.ravel() for c, rows in zip(coefficients, (A, B, C), strict=True))
    mean = unit(mean.astype(float))
    pull = np.zeros_like(mean)
    for rows in (A, B, C):
        direction = unit(rows.ravel().astype(float))
        angle = math.acos(direction @ mean)
        pull += angle / math.sin(angle) * (direction - math.cos(angle) * mean)
    assert np.linalg.norm(pull) < 1e-7


def products_of(*vectors: np.ndarray) -> np.ndarray:
    flat = np.stack([vector.ravel() for vector in vectors]).astype(float)
    return flat @ flat.T


def test_karcher_does_not_depend_on_the_order() -> None:
    expected = karcher_mean(products_of(A, B, C), 1000, 1e-9)
    for order in permutations(range(3)):
        found = karcher_mean(products_of(*((A, B, C)[index] for index in order)), 1000, 1e-9)
        np.testing.assert_allclose(found, expected[list(order)], rtol=1e-8)


@given(factor=st.floats(1e-3, 1e3))
def test_scaling_all_parents_scales_the_mean(factor: float) -> None:
    scaled = [rows * np.float32(factor) for rows in (A, B, C)]
    found = merge("karcher", None, *scaled)
    expected = merge("karcher", None, A, B, C) * np.float32(factor)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * factor)
    found = merge("multislerp", None, *scaled, weight=(1.0, 2.0, 0.5))
    expected = merge("multislerp", None, A, B, C, weight=(1.0, 2.0, 0.5)) * np.float32(factor)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6 * factor)


def test_the_length_of_one_parent_does_not_turn_the_mean() -> None:
    """Directions count alike; the result's length is the mean length."""
    one, other = merge("karcher", None, A, B), merge("karcher", None, A, B * np.float32(7))
    np.testing.assert_allclose(unit(one), unit(other), rtol=0, atol=1e-6)


def test_karcher_without_directions() -> None:
    """All zero: zero. One of two zero: the other's direction at half its length."""
    zero = np.zeros_like(A)
    assert not merge("karcher", None, zero, zero).any()
    np.testing.assert_allclose(merge("karcher", None, zero, A), A / 2, rtol=1e-6)


def test_karcher_of_opposite_parents_is_the_first() -> None:
    """No point between them is nearer to both than any other."""
    np.testing.assert_allclose(merge("karcher", None, A, -A), A, rtol=1e-6)


def test_karcher_of_nearly_equal_parents_lies_between_them() -> None:
    """Angles of 1e-4 rad, which float32 cosines do not tell from zero."""
    parents = [A + np.float32(1e-4) * rows for rows in (B, C, BASE)]
    found = merge("karcher", None, *parents)
    np.testing.assert_allclose(found, np.mean(parents, axis=0), rtol=0, atol=1e-6)


def test_karcher_takes_no_more_steps_than_allowed() -> None:
    products = products_of(A, B, C)
    none, one = karcher_mean(products, 0, 0.0), karcher_mean(products, 1, 0.0)
    assert np.abs(none - one).max() > 1e-4
    assert np.array_equal(karcher_mean(products, 1000, 0.4), none)
