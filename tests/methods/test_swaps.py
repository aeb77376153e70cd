"""nearswap and arcee_fusion by hand and against plain formulations that sort."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.blockwise import merge, random_tensors
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import rel_entr, softmax

BASE, A = random_tensors(41, 2, (7, 9))


def test_nearswap_by_hand() -> None:
    """Up to t the entry is swapped, beyond it moves by t."""
    base = np.array([[0.0, 0.0, 0.0, 1.0]], np.float32)
    other = np.array([[0.25, 0.5, -2.0, 1.0]], np.float32)
    assert merge("nearswap", base, other, t=0.5).tolist() == [[0.25, 0.5, -0.5, 1.0]]


@given(t=st.floats(0.0, 3.0, width=32), seed=st.integers(0, 1000))
def test_nearswap_moves_every_entry_by_at_most_t(t: float, seed: int) -> None:
    base, other = random_tensors(seed, 2)
    found = merge("nearswap", base, other, merged=[3], t=t)
    expected = base + np.clip(other.astype(float) - base, -t, t)
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6)


def test_nearswap_of_nothing_is_the_base() -> None:
    assert np.array_equal(merge("nearswap", BASE, A, t=0.0), BASE)


def fusion(base: np.ndarray, other: np.ndarray) -> np.ndarray:
    """All entries sorted, the divergence from scipy."""
    chances, others = (softmax(rows.astype(float), axis=-1) + 1e-8 for rows in (other, base))
    divergence = rel_entr(chances, others).sum(axis=-1, keepdims=True)
    importance = np.abs(other - base) * divergence.astype(np.float32)
    ordered = np.sort(importance.ravel())
    lower, middle, upper = ordered[[int(q * (len(ordered) - 1)) for q in (0.25, 0.5, 0.75)]]
    threshold = middle + np.float32(1.5) * (upper - lower)
    return np.where(importance >= threshold, base + (other - base), base)


@given(seed=st.integers(0, 10_000), place=st.integers(1, 6))
def test_arcee_fusion_takes_what_is_important(seed: int, place: int) -> None:
    base, other = random_tensors(seed, 2, (7, 9))
    found = merge("arcee_fusion", base, other, counted=[place], merged=[7 - place])
    assert np.array_equal(found, fusion(base, other))
    assert np.count_nonzero(found != base) < 32


def test_arcee_fusion_by_hand() -> None:
    """One row has moved, and in it one entry far: that one is taken."""
    base = np.zeros((3, 4), np.float32)
    other = base.copy()
    other[1] = [4.0, 0.1, 0.1, 0.1]
    found = merge("arcee_fusion", base, other)
    assert found.tolist() == [[0.0] * 4, [4.0, 0.0, 0.0, 0.0], [0.0] * 4]
    other[:] = [[4.0, 0.1, 0.2, 0.3]] * 3
    found = merge("arcee_fusion", base, other)
    assert found.tolist() == [[4.0, 0.0, 0.0, 0.0]] * 3


def test_equal_parents_stay() -> None:
    assert np.array_equal(merge("arcee_fusion", BASE, BASE), BASE)
    assert np.array_equal(merge("nearswap", BASE, BASE, t=0.1), BASE)


@pytest.mark.parametrize("shift", [0.0, 100.0, -100.0])
def test_arcee_fusion_of_large_numbers_is_finite(shift: float) -> None:
    base, other = BASE + np.float32(shift), A * np.float32(300) + np.float32(shift)
    assert np.isfinite(merge("arcee_fusion", base, other)).all()
