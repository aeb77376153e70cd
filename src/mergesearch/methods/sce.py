"""SCE: select, calculate, erase (https://arxiv.org/abs/2408.07990)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce

import numpy as np

from mergesearch._kernels import Consensus, Mask, kernels
from mergesearch._kernels.stored import Float
from mergesearch.methods.combination import Combination
from mergesearch.methods.declaration import INT8_MASK, Base, Method, Parameter
from mergesearch.methods.gram import Float64
from mergesearch.methods.inputs import InputRows, InputTensor, Settings
from mergesearch.methods.selection import ALL, NONE, Cut, count_cuts, entries_of, mask_of_cut
from mergesearch.methods.sparsifiers import RememberedMasks, Sparse

_SMALLEST_TOTAL = 1e-6


@dataclass(frozen=True)
class Selected:
    """What sce has to know of a whole tensor.

    Attributes:
        sparse: Which entries are selected.
        weights: Weight of each input.
    """

    sparse: Sparse
    weights: tuple[float, ...]


def sce_statistics(tensor: InputTensor, settings: Settings) -> Selected:
    """Return which variances are large enough, and the weight of each input.

    Of the entries where the deltas differ at all, the `select_topk` part with the largest variance
    between the inputs is selected. A weight is the mean square of the selected deltas, all scaled
    to sum to 1; equal parts where that sum is below 1e-6.
    """
    variances = tensor.values(_variances)
    cut = _selection(tensor, variances, settings["select_topk"])
    masks = RememberedMasks(lambda rows: _mask(rows, cut), tensor.size)
    whole = cut == ALL

    def squares(number: int, rows: InputRows) -> Float64:
        mask = None
        if not whole:
            mask = masks.remember(rows, mask_of_cut(cut, rows.offset, variances(number, rows)))
        sums = np.empty(len(rows.stored_inputs))
        kernels().squares(rows.stored_inputs, rows.stored_base, mask, sums)
        return sums

    sums = [float(square) for square in reduce(np.add, tensor.map(squares))]
    total, sparse = sum(sums), Sparse(None if whole else masks)
    if total / tensor.size < _SMALLEST_TOTAL:
        return Selected(sparse, (1.0 / len(sums),) * len(sums))
    return Selected(sparse, tuple(square / total for square in sums))


def sce(rows: InputRows, settings: Settings, statistics: Selected) -> Combination:
    """Return base + weighted mean, per entry, of the selected deltas that have the elected sign.

    The sign is that of the sum of the unweighted deltas (mergekit `merge_methods/sce.py`).
    """
    return Combination(
        rows,
        statistics.weights,
        Consensus.ELECT_UNWEIGHTED,
        kept=[statistics.sparse.mask(rows)] * len(rows.stored_inputs),
        limit=_SMALLEST_TOTAL,
    )


def _variances(rows: InputRows, into: Float) -> None:
    """Write the population variance of each entry between the inputs."""
    kernels().variances(rows.stored_inputs, rows.stored_base, into)


def _mask(rows: InputRows, cut: Cut) -> Mask:
    variances = np.empty(rows.stored_inputs[0].shape, dtype=np.float32)
    _variances(rows, variances)
    return mask_of_cut(cut, rows.offset, variances)


def _selection(
    tensor: InputTensor, variances: Callable[[int, InputRows], Float], share: float
) -> Cut:
    """The cut of the variances."""
    if share >= 1.0:
        return ALL
    if share <= 0.0:
        return NONE
    entries = entries_of(tensor, variances)
    zeros = sum(
        entries(lambda _, values, base: -1 - kernels().find_equal(values, base, 0, 1 << 62))
    )
    differing = tensor.size - zeros
    return count_cuts(entries, tensor.size, (int(differing * share),))[0]


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
        keeps_masks=True,
    ),
)
