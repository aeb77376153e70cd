"""The pass that every method of inner products shares, and what it leads to.

Such a method's result is a combination of the inputs, so the inner products of all pairs are all
it has to know of a tensor: one pass, and memory that does not depend on the tensor's size. They
are summed in float64 over fixed blocks in order; the combination itself is float32.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt

from mergesearch.methods.inputs import Float, InputRows, InputTensor, weighted_sum

Float64 = npt.NDArray[np.float64]
Vectors = Callable[[InputRows], Sequence[npt.NDArray[Any]]]
"""The vectors of some rows whose inner products count."""


def vectors_of(rows: InputRows) -> Sequence[Float]:
    """Return the inputs themselves, or their deltas where there is a base."""
    if rows.base is None:
        return rows.inputs
    return [rows.delta(index) for index in range(len(rows.inputs))]


def gram(vectors: Sequence[npt.NDArray[Any]], axis: int | None = None) -> Float64:
    """Return the inner products of all pairs of some rows, shape `(n, n)` and what is left.

    Args:
        vectors: Float arrays of one shape.
        axis: Axis that the products are summed over; None: all, so that nothing is left.
    """
    wide = [vector.astype(np.float64) for vector in vectors]
    sums = [
        [np.sum(vector * other, axis=axis) for other in wide[: index + 1]]
        for index, vector in enumerate(wide)
    ]
    count = range(len(wide))
    return np.array([[sums[max(i, j)][min(i, j)] for j in count] for i in count])


def gram_of_tensor(
    tensor: InputTensor, vectors: Vectors = vectors_of, axis: int | None = None
) -> Float64:
    """Return the inner products over the whole tensor (axis None) or over its columns (0)."""

    def part(index: int, rows: InputRows) -> Float64:
        return gram(vectors(rows), axis)

    # Numbers of every column are too many to keep those of all blocks, as a shared pass does.
    parts = tensor.map(part) if axis is None else map(part, range(tensor.count), tensor.blocks())
    return reduce(np.add, parts)


def combine(rows: InputRows, coefficients: Sequence[float] | Float64) -> Float:
    """Return the combination of the vectors of some rows, on the base where there is one."""
    merged = weighted_sum(vectors_of(rows), [float(coefficient) for coefficient in coefficients])
    if rows.base is not None:
        merged += rows.base
    return merged


def length(coefficients: Float64, products: Float64) -> float:
    """Return the length of a combination of vectors whose inner products are known.

    It is a difference of squares: below about 1e-8 of the vectors' lengths it is rounding.
    """
    return float(np.sqrt(np.maximum(coefficients @ products @ coefficients, 0.0)))
