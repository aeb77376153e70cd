"""Methods that treat tensors, their rows or their columns as vectors with angles between them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np

from mergesearch.methods.blocks import Block, Blocks, Float, Settings, weighted_sum
from mergesearch.methods.gram import Float64, gram, gram_of_tensor, vectors_of

LINEAR_ABOVE = 0.9995
_SMALLEST_NORM = 1e-8


def slerp_statistics(blocks: Blocks, size: int, settings: Settings) -> tuple[float, float]:
    """Return the coefficients of the base and of the other parent for the whole tensor.

    Tensors count as vectors; nearly parallel ones (|cos| above 0.9995) are interpolated linearly.
    """
    products = gram_of_tensor(blocks, _ends)
    norms = [math.sqrt(squares) for squares in np.diag(products)]
    length = math.prod(norm if norm > _SMALLEST_NORM else 1.0 for norm in norms)
    cosine = max(-1.0, min(1.0, float(products[0, 1]) / length))
    t = settings.t
    if math.isnan(cosine) or abs(cosine) > LINEAR_ABOVE:
        return 1.0 - t, t
    angle = math.acos(cosine)
    return math.sin((1.0 - t) * angle) / math.sin(angle), math.sin(t * angle) / math.sin(angle)


def slerp(block: Block, settings: Settings, statistics: tuple[float, float]) -> Float:
    """Return the point at `t` on the great circle from the base to the other parent."""
    return weighted_sum(_ends(block), statistics)


def _ends(block: Block) -> tuple[Float, Float]:
    assert block.base is not None
    return block.base, block.inputs[0]


_SMALLEST_LENGTH = 1e-7
_SMALLEST_TOTAL = 1e-6
_COLINEAR_BELOW = 1e-16  # sine squared of the angle


def nuslerp_statistics(
    blocks: Blocks, size: int, settings: Settings
) -> tuple[Float64, Float64] | None:
    """Return the two coefficients of the whole tensor or of its columns, None where rows differ.

    A vector counts as one whole in every case.
    """
    if settings.flatten:
        return _arc(gram_of_tensor(blocks), settings.weights)
    if not settings.row_wise:
        return None
    products = gram_of_tensor(blocks, axis=0)
    if products.shape[-1] == size:
        products = products.sum(axis=-1)
    return _arc(products, settings.weights)


def nuslerp(block: Block, settings: Settings, statistics: tuple[Float64, Float64] | None) -> Float:
    """Return the point at w_1 / (w_0 + w_1) on the arc from the first to the second vector.

    (sin((1 - t) a) v_0 + sin(t a) v_1) / sin(a), a the angle between them; straight where they are
    colinear. Vectors are whole tensors (`flatten`), else columns (`row_wise`), else rows; with a
    base they are deltas that are added to it (mergekit `merge_methods/nuslerp.py`, which calls
    the columns of a weight its rows).
    """
    vectors = vectors_of(block)
    if statistics is None:
        statistics = _arc(gram(vectors, -1)[..., None], settings.weights)
    first, second = (one.astype(np.float32) for one in statistics)
    merged: Float = vectors[0] * first
    merged += vectors[1] * second
    if block.base is not None:
        merged += block.base
    return merged


def _arc(products: Float64, weights: Sequence[float]) -> tuple[Float64, Float64]:
    """Coefficients of two vectors from their inner products."""
    total = sum(weights)
    t = 0.5 if abs(total) < _SMALLEST_TOTAL else weights[1] / total
    lengths = [np.maximum(np.sqrt(products[index, index]), _SMALLEST_LENGTH) for index in (0, 1)]
    cosine = np.clip(products[0, 1] / (lengths[0] * lengths[1]), -1.0, 1.0)
    straight = 1.0 - cosine * cosine <= _COLINEAR_BELOW
    angle = np.arccos(np.where(straight, 0.0, cosine))
    sine = np.where(straight, 1.0, np.sin(angle))
    return (
        np.where(straight, 1.0 - t, np.sin((1.0 - t) * angle) / sine),
        np.where(straight, t, np.sin(t * angle) / sine),
    )


def model_stock_statistics(blocks: Blocks, size: int, settings: Settings) -> Float64 | None:
    """Return how far the whole tensor goes from the base to the mean, None where rows differ."""
    return None if settings.filter_wise else _stock(gram_of_tensor(blocks))


def model_stock(block: Block, settings: Settings, statistics: Float64 | None) -> Float:
    """Return t * mean of the parents + (1 - t) * base, t = n cos / (1 + (n - 1) cos).

    cos is the mean cosine between the n parents' deltas, of the whole tensor or, `filter_wise`, of
    each row; where the divisor is almost zero t is 0 (https://arxiv.org/abs/2403.19522;
    mergekit `merge_methods/model_stock.py`).
    """
    assert block.base is not None
    t = _stock(gram(vectors_of(block), -1)[..., None]) if statistics is None else statistics
    mean = weighted_sum(block.inputs, [1.0] * len(block.inputs))
    mean /= np.float32(len(block.inputs))
    merged: Float = mean * t.astype(np.float32)
    merged += block.base * (1.0 - t).astype(np.float32)
    return merged


def _stock(products: Float64) -> Float64:
    """The share of the mean, from the inner products of the deltas."""
    count = len(products)
    cosines = []
    for one, other in combinations(range(count), 2):
        length = np.maximum(np.sqrt(products[one, one]) * np.sqrt(products[other, other]), 1e-6)
        cosines.append(np.clip(products[one, other] / length, -1.0, 1.0))
    cosine = np.mean(cosines, axis=0)
    divisor = 1.0 + (count - 1) * cosine
    singular = np.abs(divisor) < 1e-6
    return np.where(singular, 0.0, count * cosine / np.where(singular, 1.0, divisor))
