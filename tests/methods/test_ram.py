"""ram and ramplus_tl by hand and against loops over single entries."""

from __future__ import annotations

import numpy as np
from helpers.blockwise import merge, random_tensors
from hypothesis import given
from hypothesis import strategies as st

ZERO = np.zeros((1, 4), np.float32)


def test_what_is_shared_is_averaged_and_what_is_own_is_kept() -> None:
    a = np.array([[2.0, 1.0, 0.0, 0.5]], np.float32)
    b = np.array([[4.0, 0.0, 0.0, 0.5]], np.float32)
    c = np.array([[0.0, 0.0, 0.0, 2.0]], np.float32)
    assert merge("ram", ZERO, a, b, c).tolist() == [[3.0, 1.0, 0.0, 1.0]]


def test_a_change_up_to_epsilon_is_none() -> None:
    a = np.array([[1.0, 0.25, 0.5, -0.5]], np.float32)
    b = np.array([[1.0, 0.75, 0.5, -0.75]], np.float32)
    assert merge("ram", ZERO, a, b, epsilon=0.5).tolist() == [[1.0, 0.75, 0.0, -0.75]]


def test_own_entries_grow_with_what_is_shared() -> None:
    """a shares one entry and has two of its own, b shares one and has one of its own."""
    a = np.array([[2.0, 1.0, 1.0, 0.0]], np.float32)
    b = np.array([[2.0, 0.0, 0.0, 1.0]], np.float32)
    found = merge("ramplus_tl", ZERO, a, b, r=0.5, alpha=0.75)
    np.testing.assert_allclose(found, [[2.0, 1.25, 1.25, 1.375]], rtol=1e-7)
    found = merge("ramplus_tl", ZERO, a, b)  # r 0.1, alpha 0.2
    np.testing.assert_allclose(found, [[2.0, 1.02, 1.02, 1.02]], rtol=1e-7)


def test_one_parent_is_itself() -> None:
    base, a = random_tensors(3, 2)
    for method in ("ram", "ramplus_tl"):
        np.testing.assert_allclose(merge(method, base, a), a, rtol=0, atol=3e-7)
        assert np.array_equal(merge(method, base, base, base), base)


@given(seed=st.integers(0, 10_000), count=st.integers(1, 5), place=st.integers(1, 5))
def test_entry_by_entry(seed: int, count: int, place: int) -> None:
    base, *inputs = random_tensors(seed, count + 1)
    values = {"epsilon": 0.8, "r": 0.4, "alpha": 1.5}
    deltas = np.stack([source - base for source in inputs]).reshape(count, -1)
    changed = np.abs(deltas) > np.float32(0.8)
    factors = []
    for row in changed:
        shared = sum(1 for k in np.flatnonzero(row) if changed[:, k].sum() > 1)
        own = int(row.sum()) - shared
        factors.append(1 + 0.4 * min(shared / own if own else shared / 0.8, 1.5))
    plain, plus = [], []
    for k in range(base.size):
        present = np.flatnonzero(changed[:, k])
        parts = [float(deltas[index, k]) for index in present]
        plain.append(sum(parts) / max(1, len(parts)))
        plus.append(plain[-1] * (factors[present[0]] if len(parts) == 1 else 1.0))
    for method, expected in (("ram", plain), ("ramplus_tl", plus)):
        found = merge(method, base, *inputs, counted=[place], merged=[6 - place], **values)
        np.testing.assert_allclose(found.ravel(), base.ravel() + expected, rtol=0, atol=2e-6)


def test_the_order_of_the_parents_does_not_matter() -> None:
    base, a, b, c = random_tensors(5, 4)
    for method in ("ram", "ramplus_tl"):
        found = merge(method, base, a, b, c, epsilon=0.7)
        other = merge(method, base, c, a, b, epsilon=0.7)
        np.testing.assert_allclose(found, other, rtol=0, atol=1e-6)
