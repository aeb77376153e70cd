"""The pass that the methods of inner products share."""

from __future__ import annotations

import numpy as np
from helpers.blockwise import cut, random_tensors

from mergesearch.methods import InputTensor
from mergesearch.methods.gram import combine, gram, gram_of_tensor, length


def test_inner_products_of_all_pairs() -> None:
    a, b = np.array([[1.0, 2.0]], np.float32), np.array([[3.0, -1.0]], np.float32)
    assert gram([a, b]).tolist() == [[5.0, 1.0], [1.0, 10.0]]
    assert gram([a, b], axis=0).tolist() == [[[1.0, 4.0], [3.0, -2.0]], [[3.0, -2.0], [9.0, 1.0]]]
    assert gram([a, b], axis=-1).tolist() == [[[5.0], [1.0]], [[1.0], [10.0]]]


def test_of_a_whole_tensor_it_is_the_product_with_the_transpose() -> None:
    inputs = random_tensors(1, 4)
    flat = np.stack([one.ravel() for one in inputs]).astype(float)
    found = gram_of_tensor(InputTensor.of(cut(None, inputs, [2, 5])))
    np.testing.assert_allclose(found, flat @ flat.T, rtol=1e-13)


def test_with_a_base_the_deltas_count_and_the_base_is_added() -> None:
    base, a, b = random_tensors(2, 3)
    flat = np.stack([(one - base).ravel() for one in (a, b)]).astype(float)
    blocks = cut(base, [a, b], [1, 4])
    np.testing.assert_allclose(gram_of_tensor(InputTensor.of(blocks)), flat @ flat.T, rtol=1e-12)
    found = np.concatenate([combine(block, [0.5, -2.0]) for block in blocks])
    expected = base.astype(float) + 0.5 * (a - base) - 2.0 * (b - base)
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6)


def test_squares_are_summed_in_float64() -> None:
    """2^24 + 1 is no float32 number."""
    one = np.array([[4096.0, 1.0]], np.float32)
    assert gram([one])[0, 0] == 2**24 + 1


def test_the_length_of_a_combination() -> None:
    """(3, 4) from vectors that are not orthogonal; rounding below zero counts as zero."""
    products = np.array([[1.0, 1.0], [1.0, 2.0]])  # of (1, 0) and (1, 1)
    assert length(np.array([-1.0, 4.0]), products) == 5.0
    assert length(np.array([1.0]), np.array([[-1e-30]])) == 0.0
