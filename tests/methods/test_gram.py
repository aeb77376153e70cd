"""The pass that the methods of inner products share."""

from __future__ import annotations

import numpy as np
from helpers.blockwise import cut, random_tensors

from mergesearch.methods import InputRows, InputTensor
from mergesearch.methods.gram import (
    gram,
    gram_of_columns,
    gram_of_rows,
    gram_of_tensor,
    length,
    with_base_as_input,
)


def test_inner_products_of_all_pairs() -> None:
    a, b = np.array([[1.0, 2.0]], np.float32), np.array([[3.0, -1.0]], np.float32)
    rows = InputRows(None, [a, b], 0)
    assert gram(rows).tolist() == [[5.0, 1.0], [1.0, 10.0]]
    assert gram_of_rows(rows).tolist() == [[[5.0], [1.0]], [[1.0], [10.0]]]
    assert gram_of_columns(InputTensor.of([rows, rows])).tolist() == [
        [[2.0, 8.0], [6.0, -4.0]],
        [[6.0, -4.0], [18.0, 2.0]],
    ]


def test_of_a_whole_tensor_it_is_the_product_with_the_transpose() -> None:
    inputs = random_tensors(1, 4)
    flat = np.stack([matrix.ravel() for matrix in inputs]).astype(float)
    found = gram_of_tensor(InputTensor.of(cut(None, inputs, [2, 5])))
    np.testing.assert_allclose(found, flat @ flat.T, rtol=1e-13)


def test_with_a_base_the_deltas_count_unless_it_is_an_input() -> None:
    base, a, b = random_tensors(2, 3)
    flat = np.stack([(matrix - base).ravel() for matrix in (a, b)]).astype(float)
    tensor = InputTensor.of(cut(base, [a, b], [1, 4]))
    np.testing.assert_allclose(gram_of_tensor(tensor), flat @ flat.T, rtol=1e-12)
    flat = np.stack([matrix.ravel() for matrix in (base, a, b)]).astype(float)
    found = sum(gram(with_base_as_input(rows)) for rows in tensor.blocks())
    np.testing.assert_allclose(found, flat @ flat.T, rtol=1e-12)


def test_squares_are_summed_in_float64() -> None:
    """2^24 + 1 is no float32 number."""
    matrix = np.array([[4096.0, 1.0]], np.float32)
    assert gram(InputRows(None, [matrix], 0))[0, 0] == 2**24 + 1


def test_the_length_of_a_combination() -> None:
    """(3, 4) from vectors that are not orthogonal; rounding below zero counts as zero."""
    products = np.array([[1.0, 1.0], [1.0, 2.0]])  # of (1, 0) and (1, 1)
    assert length(np.array([-1.0, 4.0]), products) == 5.0
    assert length(np.array([1.0]), np.array([[-1e-30]])) == 0.0
