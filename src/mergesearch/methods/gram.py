"""The pass that every method of inner products shares, and what it leads to.

Such a method's result is a combination of the inputs, so the inner products of all pairs are all
it has to know of a tensor: one pass, and memory that does not depend on the tensor's size. They
are summed in float64 over fixed blocks in order; the combination itself is float32.
"""

from __future__ import annotations

from functools import reduce

import numpy as np
import numpy.typing as npt

from mergesearch._kernels import kernels
from mergesearch.methods.inputs import InputRows, InputTensor

Float64 = npt.NDArray[np.float64]


def with_base_as_input(rows: InputRows) -> InputRows:
    """Return the same rows with the base, where it is apart, as the first input."""
    return InputRows(None, rows.all_stored, rows.offset)


def gram(rows: InputRows, from_middle: bool = False) -> Float64:
    """Return the inner products of all pairs of some rows' inputs, or deltas; shape `(n, n)`.

    Args:
        from_middle: Whether the vectors start in the middle between the mean and the entrywise
            median of the inputs, which then have no base.
    """
    sums = np.empty((1, _pairs(rows)))
    kernels().gram(rows.stored_inputs, rows.stored_base, from_middle, sums)
    return _square(sums[0], len(rows.stored_inputs))


def gram_of_rows(rows: InputRows) -> Float64:
    """Return the inner products over each row by itself, shape `(n, n, rows)`."""
    sums = np.empty((rows.stored_inputs[0].shape[0], _pairs(rows)))
    kernels().gram(rows.stored_inputs, rows.stored_base, False, sums)
    return _square(sums.T, len(rows.stored_inputs))


def gram_of_tensor(tensor: InputTensor, from_middle: bool = False) -> Float64:
    """Return the inner products over the whole tensor, shape `(n, n)`; arguments as of `gram`."""
    return reduce(np.add, tensor.map(lambda _, rows: gram(rows, from_middle)))


def gram_of_columns(tensor: InputTensor) -> Float64:
    """Return the inner products over each column of the whole tensor, shape `(n, n, cols)`."""
    # Numbers of every column are too many to keep those of all blocks, as a shared pass does.
    return reduce(np.add, map(_gram_of_columns, tensor.blocks()))


def _gram_of_columns(rows: InputRows) -> Float64:
    cols = rows.stored_inputs[0].shape[1]
    if cols == 1:
        return gram(rows)[..., None]
    sums = np.empty((_pairs(rows), cols))
    kernels().gram_of_columns(rows.stored_inputs, rows.stored_base, sums)
    return _square(sums, len(rows.stored_inputs))


def length(coefficients: Float64, products: Float64) -> float:
    """Return the length of a combination of vectors whose inner products are known.

    It is a difference of squares: below about 1e-8 of the vectors' lengths it is rounding.
    """
    return float(np.sqrt(np.maximum(coefficients @ products @ coefficients, 0.0)))


def _pairs(rows: InputRows) -> int:
    count = len(rows.stored_inputs)
    return count * (count + 1) // 2


def _square(sums: Float64, count: int) -> Float64:
    """Sums of each vector with those before it and itself, as a symmetric table."""
    order = range(count)
    return np.array(
        [[sums[max(i, j) * (max(i, j) + 1) // 2 + min(i, j)] for j in order] for i in order]
    )
