"""SCE: select, calculate, erase (https://arxiv.org/abs/2408.07990)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from mergesearch.methods.declaration import INT8_MASK, Base, Method, Parameter
from mergesearch.methods.inputs import Float, InputRows, InputTensor, Settings, agreeing
from mergesearch.methods.sparsify import ALL, NONE, Cut, Entries, count_cut, kept_by

_SMALLEST_TOTAL = 1e-6


def sce_statistics(tensor: InputTensor, settings: Settings) -> tuple[Cut, tuple[float, ...]]:
    """Return which variances are large enough, and the weight of each input.

    Of the entries where the deltas differ at all, the `select_topk` part with the largest variance
    between the inputs is selected. A weight is the mean square of the selected deltas, all scaled
    to sum to 1; equal parts where that sum is below 1e-6.
    """
    cut = _selection(tensor, settings["select_topk"])
    squares: list[float] | None = None
    for rows in tensor.blocks():
        deltas = _selected(rows, cut)
        sums = [float(np.sum(np.square(delta, dtype=np.float64))) for delta in deltas]
        squares = sums if squares is None else [a + b for a, b in zip(squares, sums, strict=True)]
    assert squares is not None
    total = sum(squares)
    if total / tensor.size < _SMALLEST_TOTAL:
        return cut, (1.0 / len(squares),) * len(squares)
    return cut, tuple(square / total for square in squares)


def sce(rows: InputRows, settings: Settings, statistics: tuple[Cut, tuple[float, ...]]) -> Float:
    """Return base + weighted mean, per entry, of the selected deltas that have the elected sign.

    The sign is that of the sum of the unweighted deltas (mergekit `merge_methods/sce.py`).
    """
    assert rows.base is not None
    cut, weights = statistics
    deltas = _selected(rows, cut)
    merged, divisor = np.zeros_like(rows.base), np.zeros_like(rows.base)
    for delta, weight, agrees in zip(deltas, weights, agreeing(deltas), strict=True):
        erased = np.float32(weight) * agrees
        merged += delta * erased
        divisor += erased
    merged /= np.maximum(divisor, np.float32(_SMALLEST_TOTAL))
    merged += rows.base
    return merged


def _deltas(rows: InputRows) -> list[Float]:
    return [rows.delta(index) for index in range(len(rows.inputs))]


def _variance(deltas: Sequence[Float]) -> Float:
    """Population variance of each entry between the inputs."""
    return np.var(np.stack(deltas), axis=0, dtype=np.float64).astype(np.float32)


def _selected(rows: InputRows, cut: Cut) -> list[Float]:
    deltas = _deltas(rows)
    if cut == ALL:
        return deltas
    kept = kept_by(_variance(deltas), cut, rows.offset)
    return [delta * kept for delta in deltas]


def _selection(tensor: InputTensor, share: float) -> Cut:
    if share >= 1.0:
        return ALL
    if share <= 0.0:
        return NONE

    def variances() -> Iterable[Float]:
        return (_variance(_deltas(rows)) for rows in tensor.blocks())

    differing = sum(int(np.count_nonzero(variance)) for variance in variances())
    return count_cut(Entries.of(variances), tensor.size, int(differing * share))


METHODS = (
    Method(
        "sce",
        sce,
        (Parameter("select_topk", 1.0, low=0.0, high=1.0, search=(0.1, 1.0)), INT8_MASK),
        Base.REQUIRED,
        sce_statistics,
        formula="b + weighted mean, per entry, of the deltas that agree with the sign of their sum;"
        " only the `select_topk` part of the entries with the largest variance between the parents;"
        " each parent's weight is the mean square of what is selected",
        in_mergekit=True,
    ),
)
