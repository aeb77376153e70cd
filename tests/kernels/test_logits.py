"""Chances from logits: NumPy's in float64 but for rounding, and the same bits everywhere."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mergesearch._kernels import Variant, supported_variants

VARIANTS = supported_variants()
each_variant = pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)


def log_sums(variant: Variant, logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    best, sums = np.empty(len(logits), np.int64), np.empty(len(logits))
    variant.log_sums(logits, best, sums)
    return best, sums


@st.composite
def rows(draw: st.DrawFn) -> np.ndarray:
    """Logits of a spread from none to one that leaves a single token any chance."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    cols = draw(st.sampled_from([1, 2, 7, 8, 127, 128, 129, 1000, 5003, 32001]))
    spread = draw(st.sampled_from([0.0, 1e-3, 1.0, 10.0, 200.0, 1e6]))
    return (rng.standard_normal((2, cols)) * spread).astype(np.float32)


@each_variant
@given(rows())
def test_sums_are_numpys_but_for_rounding(variant: Variant, logits: np.ndarray) -> None:
    best, sums = log_sums(variant, logits)
    wide = logits.astype(np.float64)
    largest = wide.max(axis=1)
    expected = largest + np.log(np.exp(wide - largest[:, None]).sum(axis=1))
    np.testing.assert_allclose(sums, expected, rtol=1e-14, atol=2e-7)
    assert np.array_equal(best, logits.argmax(axis=1))


@given(rows())
def test_every_instruction_set_gives_the_same_bits(logits: np.ndarray) -> None:
    found = [log_sums(variant, logits)[1].view(np.uint64) for variant in VARIANTS]
    assert all(np.array_equal(sums, found[-1]) for sums in found)


@each_variant
def test_what_is_not_finite(variant: Variant) -> None:
    """A token without a chance counts nothing; NaN and infinity make NaN of their row alone."""
    logits = np.zeros((4, 300), np.float32)
    logits[0, 7:] = -np.inf
    logits[1, 250] = np.nan
    logits[2, 3] = np.inf
    best, sums = log_sums(variant, logits)
    np.testing.assert_allclose(sums, [np.log(7), np.nan, np.nan, np.log(300)], rtol=1e-7)
    assert best[[0, 2, 3]].tolist() == [0, 3, 0]


@each_variant
def test_of_equal_logits_the_first_is_the_best(variant: Variant) -> None:
    logits = np.array([[1, 5, 5, 0], [2, 2, 2, 2], [-3, -3, -2, -2]], np.float32)
    assert log_sums(variant, logits)[0].tolist() == [1, 0, 2]


@each_variant
def test_arrays_that_do_not_fit_are_refused(variant: Variant) -> None:
    with pytest.raises(ValueError, match="one result for each row"):
        variant.log_sums(np.zeros((2, 3), np.float32), np.empty(1, np.int64), np.empty(2))
    with pytest.raises(TypeError):
        variant.log_sums(np.zeros((2, 3)), np.empty(2, np.int64), np.empty(2))  # type: ignore
