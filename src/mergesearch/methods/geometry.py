"""Methods that treat tensors, their rows or their columns as vectors with angles between them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from itertools import combinations

import numpy as np

from mergesearch.methods.combination import Combination
from mergesearch.methods.declaration import WEIGHT, Base, Method, T, switch
from mergesearch.methods.gram import (
    Float64,
    gram,
    gram_of_columns,
    gram_of_rows,
    gram_of_tensor,
    with_base_as_input,
)
from mergesearch.methods.inputs import InputRows, InputTensor, Settings
from mergesearch.methods.shares import ratio_shares, t_shares

LINEAR_ABOVE = 0.9995
_SMALLEST_NORM = 1e-8


def slerp_statistics(tensor: InputTensor, settings: Settings) -> tuple[float, float]:
    """Return the coefficients of the base and of the other parent for the whole tensor.

    Tensors count as vectors; nearly parallel ones (|cos| above 0.9995) are interpolated linearly.
    """
    products = reduce(np.add, tensor.map(lambda _, rows: gram(with_base_as_input(rows))))
    norms = [math.sqrt(squares) for squares in np.diag(products)]
    length = math.prod(norm if norm > _SMALLEST_NORM else 1.0 for norm in norms)
    cosine = max(-1.0, min(1.0, float(products[0, 1]) / length))
    t = settings["t"]
    if math.isnan(cosine) or abs(cosine) > LINEAR_ABOVE:
        return 1.0 - t, t
    angle = math.acos(cosine)
    return math.sin((1.0 - t) * angle) / math.sin(angle), math.sin(t * angle) / math.sin(angle)


def slerp(rows: InputRows, settings: Settings, statistics: tuple[float, float]) -> Combination:
    """Return the point at `t` on the great circle from the base to the other parent."""
    return Combination(with_base_as_input(rows), statistics)


_SMALLEST_LENGTH = 1e-7
_SMALLEST_TOTAL = 1e-6
_COLINEAR_BELOW = 1e-16  # sine squared of the angle


def nuslerp_statistics(tensor: InputTensor, settings: Settings) -> tuple[Float64, Float64] | None:
    """Return the two coefficients of the whole tensor or of its columns, None where rows differ.

    A vector counts as one whole in every case.
    """
    if settings["nuslerp_flatten"]:
        return _arc(gram_of_tensor(tensor), settings["weight"])
    if not settings["nuslerp_row_wise"]:
        return None
    products = gram_of_columns(tensor)
    if products.shape[-1] == tensor.size:
        products = products.sum(axis=-1)
    return _arc(products, settings["weight"])


def nuslerp(
    rows: InputRows, settings: Settings, statistics: tuple[Float64, Float64] | None
) -> Combination:
    """Return the point at w_1 / (w_0 + w_1) on the arc from the first to the second vector.

    (sin((1 - t) a) v_0 + sin(t a) v_1) / sin(a), a the angle between them; straight where they are
    colinear. Vectors are whole tensors (`nuslerp_flatten`), else columns (`nuslerp_row_wise`), else
    rows; with a base they are deltas that are added to it (mergekit `merge_methods/nuslerp.py`,
    which calls the columns of a weight its rows).
    """
    each_row = statistics is None
    if statistics is None:
        statistics = _arc(gram_of_rows(rows), settings["weight"])
    weights = np.reshape(statistics, (2, -1))
    return Combination(rows, weights.astype(np.float32), by_column=not each_row)


def _arc(products: Float64, weights: Sequence[float]) -> tuple[Float64, Float64]:
    """Return the coefficients of two vectors, from their inner products."""
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


def model_stock_statistics(tensor: InputTensor, settings: Settings) -> Float64 | None:
    """Return how far the whole tensor goes from the base to the mean, None where rows differ."""
    return None if settings["filter_wise"] else _stock(gram_of_tensor(tensor))


def model_stock(rows: InputRows, settings: Settings, statistics: Float64 | None) -> Combination:
    """Return t * mean of the parents + (1 - t) * base, t = n cos / (1 + (n - 1) cos).

    cos is the mean cosine between the n parents' deltas, of the whole tensor or, `filter_wise`, of
    each row; where the divisor is almost zero t is 0 (https://arxiv.org/abs/2403.19522;
    mergekit `merge_methods/model_stock.py`).
    """
    t = _stock(gram_of_rows(rows)) if statistics is None else statistics
    count = len(rows.stored_inputs)
    return Combination(
        rows,
        [1.0] * count,
        divisor=count,
        scale=t.astype(np.float32),
        base_scale=(1.0 - t).astype(np.float32),
        of_values=True,
    )


def _stock(products: Float64) -> Float64:
    """Return the share of the mean, from the inner products of the deltas."""
    count = len(products)
    cosines = []
    for i, j in combinations(range(count), 2):
        length = np.maximum(np.sqrt(products[i, i]) * np.sqrt(products[j, j]), 1e-6)
        cosines.append(np.clip(products[i, j] / length, -1.0, 1.0))
    cosine = np.mean(cosines, axis=0)
    divisor = 1.0 + (count - 1) * cosine
    singular = np.abs(divisor) < 1e-6
    return np.where(singular, 0.0, count * cosine / np.where(singular, 1.0, divisor))


METHODS = (
    Method(
        "model_stock",
        model_stock,
        (switch("filter_wise", False),),
        Base.REQUIRED,
        model_stock_statistics,
        least=2,
        formula="t * mean(x_i) + (1 - t) * b, t = n cos / (1 + (n - 1) cos) with the mean cosine"
        " between the n deltas, of the whole tensor or, `filter_wise`, of each row",
        in_mergekit=True,
    ),
    Method(
        "slerp",
        slerp,
        (T,),
        Base.REQUIRED,
        slerp_statistics,
        t_shares,
        most=1,
        formula="spherical interpolation from the base (t = 0) to the one other parent (t = 1);"
        " straight where they are almost parallel (cosine above 0.9995)",
        in_mergekit=True,
    ),
    Method(
        "nuslerp",
        nuslerp,
        (WEIGHT, switch("nuslerp_flatten", True), switch("nuslerp_row_wise", False)),
        Base.OPTIONAL,
        nuslerp_statistics,
        ratio_shares,
        least=2,
        most=2,
        formula="spherical interpolation of two parents, or of their deltas where a base is named,"
        " at t = w_2 / (w_1 + w_2); whole tensors as vectors (`nuslerp_flatten`), else columns"
        " (`nuslerp_row_wise`), else rows",
        in_mergekit=True,
    ),
)
