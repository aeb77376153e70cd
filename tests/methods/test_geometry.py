"""nuslerp and model_stock on single tensors against short formulations in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers.blockwise import merge

RNG = np.random.default_rng(17)
BASE, A, B, C = (RNG.standard_normal((6, 8)).astype(np.float32) for _ in range(4))


def run(method: str, base: np.ndarray | None, *inputs: np.ndarray, **values: Any) -> np.ndarray:
    """Merge in blocks of two rows, statistics over blocks of four."""
    return merge(method, base, *inputs, counted=[4], merged=[2, 4], **values)


def arc(first: np.ndarray, second: np.ndarray, t: float) -> np.ndarray:
    """The textbook formula for two vectors."""
    first, second = first.astype(float), second.astype(float)
    angle = np.arccos(first @ second / np.linalg.norm(first) / np.linalg.norm(second))
    return (np.sin((1 - t) * angle) * first + np.sin(t * angle) * second) / np.sin(angle)


@pytest.mark.parametrize("weights", [(0.5, 1.5), (1.0, 0.0), (0.0, 2.0), (1.0, -1.0)])
def test_nuslerp_of_whole_tensors(weights: tuple[float, float]) -> None:
    t = weights[1] / sum(weights) if sum(weights) else 0.5
    expected = arc(A.ravel(), B.ravel(), t).reshape(A.shape)
    found = run("nuslerp", None, A, B, weight=weights)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


def test_nuslerp_of_rows_and_of_columns() -> None:
    rows = [arc(a, b, 0.25) for a, b in zip(A, B, strict=True)]
    found = run("nuslerp", None, A, B, weight=(3.0, 1.0), nuslerp_flatten=False)
    np.testing.assert_allclose(found, rows, rtol=0, atol=1e-6)
    columns = [arc(a, b, 0.25) for a, b in zip(A.T, B.T, strict=True)]
    found = run(
        "nuslerp", None, A, B, weight=(3.0, 1.0), nuslerp_flatten=False, nuslerp_row_wise=True
    )
    np.testing.assert_allclose(found, np.transpose(columns), rtol=0, atol=1e-6)


def test_nuslerp_of_a_vector_is_one_whole_whatever_the_switches() -> None:
    expected = run("nuslerp", None, A[:1], B[:1], weight=(1.0, 2.0))
    for row_wise in (False, True):
        switches = {"nuslerp_flatten": False, "nuslerp_row_wise": row_wise}
        found = run("nuslerp", None, A[:1], B[:1], weight=(1.0, 2.0), **switches)
        assert np.array_equal(found, expected)


def test_nuslerp_with_a_base_turns_the_deltas() -> None:
    expected = BASE + arc((A - BASE).ravel(), (B - BASE).ravel(), 0.25).reshape(A.shape)
    found = run("nuslerp", BASE, A, B, weight=(3.0, 1.0))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("factor", [2.0, -2.0, 0.0])
def test_nuslerp_of_colinear_tensors_is_finite(factor: float) -> None:
    """Straight where there is a direction; a zero tensor counts as orthogonal."""
    found = run("nuslerp", None, A, A * np.float32(factor), weight=(3.0, 1.0))
    share = 0.75 + 0.25 * factor if factor else np.sin(0.75 * np.pi / 2)
    np.testing.assert_allclose(found, share * A, rtol=0, atol=2e-6)


def test_model_stock_of_two() -> None:
    """Two parents: t = 2 cos / (1 + cos)."""
    a, b = (np.ravel(source - BASE).astype(float) for source in (A, B))
    cosine = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
    t = 2 * cosine / (1 + cosine)
    expected = t * (A + B) / 2 + (1 - t) * BASE
    np.testing.assert_allclose(run("model_stock", BASE, A, B), expected, rtol=0, atol=1e-6)


def test_model_stock_of_each_row_of_three() -> None:
    expected = []
    for base, *rows in zip(BASE, A, B, C, strict=True):
        units = [(row - base) / np.linalg.norm(row - base) for row in rows]
        cosine = np.mean([units[i] @ units[j] for i, j in ((0, 1), (0, 2), (1, 2))])
        t = 3 * cosine / (1 + 2 * cosine)
        expected.append(t * np.mean(rows, axis=0) + (1 - t) * base)
    found = run("model_stock", BASE, A, B, C, filter_wise=True)
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6)


def test_model_stock_of_equal_parents_is_that_parent_and_of_opposite_ones_the_base() -> None:
    np.testing.assert_allclose(run("model_stock", BASE, A, A), A, rtol=0, atol=1e-6)
    zero = np.zeros_like(A)
    assert not run("model_stock", zero, A, -A).any()
    assert np.array_equal(run("model_stock", BASE, BASE, BASE), BASE)


def test_orthogonal_deltas_stay_at_the_base() -> None:
    """cos 0: t is 0."""
    base = np.array([[1.0, 1.0]], np.float32)
    a, b = np.array([[3.0, 1.0]], np.float32), np.array([[1.0, 5.0]], np.float32)
    assert run("model_stock", base, a, b).tolist() == [[1.0, 1.0]]
