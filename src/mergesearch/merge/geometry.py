"""Methods that treat tensors, their rows or their columns as vectors with angles between them.

Squares and products are summed in float64 over fixed blocks; what is applied to a block is a
weighted sum in float32.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt

from mergesearch.merge.blocks import Block, Blocks, Float, Settings, weighted_sum

Float64 = npt.NDArray[np.float64]

LINEAR_ABOVE = 0.9995
_SMALLEST_NORM = 1e-8


def slerp_statistics(blocks: Blocks, size: int, settings: Settings) -> tuple[float, float]:
    """Return the coefficients of the base and of the other parent for the whole tensor.

    Tensors count as vectors; nearly parallel ones (|cos| above 0.9995) are interpolated linearly.
    """
    squares_base, squares_other, product = 0.0, 0.0, 0.0
    for block in blocks():
        assert block.base is not None
        base = block.base.astype(np.float64).reshape(-1)
        other = block.inputs[0].astype(np.float64).reshape(-1)
        squares_base += float(np.sum(base * base))
        squares_other += float(np.sum(other * other))
        product += float(np.sum(base * other))
    norms = [math.sqrt(squares) for squares in (squares_base, squares_other)]
    length = math.prod(norm if norm > _SMALLEST_NORM else 1.0 for norm in norms)
    cosine = max(-1.0, min(1.0, product / length))
    t = settings.t
    if math.isnan(cosine) or abs(cosine) > LINEAR_ABOVE:
        return 1.0 - t, t
    angle = math.acos(cosine)
    return math.sin((1.0 - t) * angle) / math.sin(angle), math.sin(t * angle) / math.sin(angle)


def slerp(block: Block, settings: Settings, statistics: tuple[float, float]) -> Float:
    """Return the point at `t` on the great circle from the base to the other parent."""
    assert block.base is not None
    return weighted_sum([block.base, block.inputs[0]], statistics)


_SMALLEST_LENGTH = 1e-7
_SMALLEST_TOTAL = 1e-6
_COLINEAR_BELOW = 1e-16  # sine squared of the angle


def _vectors(block: Block) -> Sequence[Float]:
    """The inputs themselves, or their deltas where there is a base."""
    if block.base is None:
        return block.inputs
    return [block.delta(index) for index in range(len(block.inputs))]


def _gram(vectors: Sequence[Float], axis: int | None) -> Float64:
    """Inner products of all pairs, shape `(n, n)` and what a sum over `axis` leaves."""
    wide = [one.astype(np.float64) for one in vectors]
    return np.array([[np.sum(one * other, axis=axis) for other in wide] for one in wide])


def _gram_of_tensor(blocks: Blocks, axis: int | None) -> Float64:
    """Inner products over all rows of the whole tensor (axis None), or of its columns (0)."""
    total: Float64 | None = None
    for block in blocks():
        part = _gram(_vectors(block), axis)
        total = part if total is None else total + part
    assert total is not None
    return total


def nuslerp_statistics(
    blocks: Blocks, size: int, settings: Settings
) -> tuple[Float64, Float64] | None:
    """Return the two coefficients of the whole tensor or of its columns, None where rows differ.

    A vector counts as one whole in every case.
    """
    if settings.flatten:
        return _arc(_gram_of_tensor(blocks, None), settings.weights)
    if not settings.row_wise:
        return None
    gram = _gram_of_tensor(blocks, 0)
    if gram.shape[-1] == size:
        gram = gram.sum(axis=-1)
    return _arc(gram, settings.weights)


def nuslerp(block: Block, settings: Settings, statistics: tuple[Float64, Float64] | None) -> Float:
    """Return the point at w_1 / (w_0 + w_1) on the arc from the first to the second vector.

    (sin((1 - t) a) v_0 + sin(t a) v_1) / sin(a), a the angle between them; straight where they are
    colinear. Vectors are whole tensors (`flatten`), else columns (`row_wise`), else rows; with a
    base they are deltas that are added to it (mergekit `merge_methods/nuslerp.py`, which calls
    the columns of a weight its rows).
    """
    vectors = _vectors(block)
    if statistics is None:
        statistics = _arc(_gram(vectors, -1)[..., None], settings.weights)
    first, second = (one.astype(np.float32) for one in statistics)
    merged: Float = vectors[0] * first
    merged += vectors[1] * second
    if block.base is not None:
        merged += block.base
    return merged


def _arc(gram: Float64, weights: Sequence[float]) -> tuple[Float64, Float64]:
    """Coefficients of two vectors from their inner products."""
    total = sum(weights)
    t = 0.5 if abs(total) < _SMALLEST_TOTAL else weights[1] / total
    lengths = [np.maximum(np.sqrt(gram[index, index]), _SMALLEST_LENGTH) for index in (0, 1)]
    cosine = np.clip(gram[0, 1] / (lengths[0] * lengths[1]), -1.0, 1.0)
    straight = 1.0 - cosine * cosine <= _COLINEAR_BELOW
    angle = np.arccos(np.where(straight, 0.0, cosine))
    sine = np.where(straight, 1.0, np.sin(angle))
    return (
        np.where(straight, 1.0 - t, np.sin((1.0 - t) * angle) / sine),
        np.where(straight, t, np.sin(t * angle) / sine),
    )


def model_stock_statistics(blocks: Blocks, size: int, settings: Settings) -> Float64 | None:
    """Return how far the whole tensor goes from the base to the mean, None where rows differ."""
    return None if settings.filter_wise else _stock(_gram_of_tensor(blocks, None))


def model_stock(block: Block, settings: Settings, statistics: Float64 | None) -> Float:
    """Return t * mean of the parents + (1 - t) * base, t = n cos / (1 + (n - 1) cos).

    cos is the mean cosine between the n parents' deltas, of the whole tensor or, `filter_wise`, of
    each row; where the divisor is almost zero t is 0 (https://arxiv.org/abs/2403.19522;
    mergekit `merge_methods/model_stock.py`).
    """
    assert block.base is not None
    t = _stock(_gram(_vectors(block), -1)[..., None]) if statistics is None else statistics
    mean = weighted_sum(block.inputs, [1.0] * len(block.inputs))
    mean /= np.float32(len(block.inputs))
    merged: Float = mean * t.astype(np.float32)
    merged += block.base * (1.0 - t).astype(np.float32)
    return merged


def _stock(gram: Float64) -> Float64:
    """The share of the mean, from the inner products of the deltas."""
    count = len(gram)
    cosines = []
    for one, other in combinations(range(count), 2):
        length = np.maximum(np.sqrt(gram[one, one]) * np.sqrt(gram[other, other]), 1e-6)
        cosines.append(np.clip(gram[one, other] / length, -1.0, 1.0))
    cosine = np.mean(cosines, axis=0)
    divisor = 1.0 + (count - 1) * cosine
    singular = np.abs(divisor) < 1e-6
    return np.where(singular, 0.0, count * cosine / np.where(singular, 1.0, divisor))
