"""The task-arithmetic family: base + lambda * consensus of the weighted, sparsified deltas.

Its members are told apart by how each delta is made sparse, if it is, and how the deltas are added.
Whether a sparse delta is rescaled and the sum normalized are parameters of the recipe.
Equal to mergekit 0.1.5 (`generalized_task_arithmetic.py`) but for the order of summation and the
random numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from mergesearch._kernels import Consensus
from mergesearch.errors import RecipeError
from mergesearch.methods.combination import Combination
from mergesearch.methods.declaration import (
    DENSITY,
    INT8_MASK,
    LAMBDA,
    WEIGHT,
    Base,
    Method,
    Parameter,
    switch,
)
from mergesearch.methods.inputs import InputRows, InputTensor, Settings, sum32
from mergesearch.methods.shares import weight_shares
from mergesearch.methods.sparsifiers import (
    Sparse,
    Sparsifier,
    by_rank,
    largest,
    random,
    sparsified,
    without_outliers,
)


def merge_deltas(
    consensus: Consensus, rows: InputRows, settings: Settings, sparse: Sequence[Sparse] | None
) -> Combination:
    """Return base + lambda * consensus of the weighted deltas, made sparse where `sparse` says how.

    With `normalize` a sum (https://arxiv.org/abs/2212.04089) is divided by that of the weights,
    unless that is almost zero; what is elected (https://arxiv.org/abs/2306.01708) by the sum of the
    weights that agree, entry by entry.
    """
    normalize = settings["normalize"]
    divides = normalize and consensus == Consensus.SUM
    return Combination(
        rows,
        settings["weight"],
        consensus,
        kept=[delta.mask(rows) for delta in sparse or ()],
        factors=[delta.factor for delta in sparse or ()],
        normalize=normalize,
        divisor=_divisor(settings["weight"]) if divides else 1.0,
        scale=settings["lambda"],
    )


def _divisor(weights: Sequence[float]) -> float:
    total = float(sum32(weights))
    return total if abs(total) >= 1e-8 else 1.0


def plan_sparse(
    sparsifier: Sparsifier, tensor: InputTensor, settings: Settings
) -> tuple[Sparse, ...]:
    """Return, per input, how its delta becomes sparse."""
    indices = range(len(settings["density"]))
    return tuple(sparsified(sparsifier, tensor, index, settings) for index in indices)


def check_chances(settings: Settings, tensors: Sequence[str]) -> None:
    """Refuse a density with an epsilon that makes a chance to stay of 0 or 1 or beyond.

    Raises:
        RecipeError: Names the input's tensor.
    """
    pairs = zip(settings["density"], settings["epsilon"], strict=True)
    for tensor, (density, epsilon) in zip(tensors, pairs, strict=True):
        if 0.0 < density < 1.0 and not epsilon < density < 1.0 - epsilon:
            raise RecipeError(
                f"density {density:g} with epsilon {epsilon:g}",
                where=tensor,
                expected="density - epsilon above 0 and density + epsilon below 1",
            )


@dataclass(frozen=True)
class _Sparsification:
    """How members of the family make deltas sparse, and what a recipe says of it."""

    sparsifier: Sparsifier
    formula: str
    parameters: tuple[Parameter, ...] = ()
    rescale: bool = False
    check: Callable[[Settings, Sequence[str]], None] | None = None


_LARGEST = _Sparsification(largest, "s keeping the `density` part of largest magnitude")
_RANDOM = _Sparsification(random, "s keeping each entry with the chance `density`", rescale=True)
_BY_RANK = _Sparsification(
    by_rank,
    "s keeping each entry with a chance that rises with the rank of its magnitude in its row, from"
    " `density` - `epsilon` to `density` + `epsilon`",
    (Parameter("epsilon", 0.15, per_parent=True, low=0.0, high=0.5),),
    rescale=True,
    check=check_chances,
)
_WITHOUT_OUTLIERS = _Sparsification(
    without_outliers,
    "s dropping the `gamma` part of largest magnitude and keeping the next `density` part",
    (Parameter("gamma", 0.01, per_parent=True, low=0.0, high=1.0, search=(0.0, 0.1)),),
)


def _member(
    name: str, sparsification: _Sparsification, consensus: Consensus, normalize: bool = False
) -> Method:
    total = "elect" if consensus == Consensus.ELECT else "sum"
    return Method(
        name,
        partial(merge_deltas, consensus),
        (
            WEIGHT,
            DENSITY,
            *sparsification.parameters,
            switch("normalize", normalize),
            switch("rescale", sparsification.rescale),
            LAMBDA,
            INT8_MASK,
        ),
        Base.REQUIRED,
        partial(plan_sparse, sparsification.sparsifier),
        weight_shares,
        sparsification.check,
        formula=f"b + lambda * {total}(w_i s(d_i)), {sparsification.formula}",
        in_mergekit=True,
        keeps_masks=True,
    )


METHODS = (
    Method(
        "task_arithmetic",
        partial(merge_deltas, Consensus.SUM),
        (WEIGHT, switch("normalize", False), LAMBDA, INT8_MASK),
        Base.REQUIRED,
        shares=weight_shares,
        formula="b + lambda * sum(w_i d_i), divided by sum(w_i) where `normalize`",
        in_mergekit=True,
    ),
    _member("ties", _LARGEST, Consensus.ELECT, normalize=True),
    _member("dare_linear", _RANDOM, Consensus.SUM),  # https://arxiv.org/abs/2311.03099
    _member("dare_ties", _RANDOM, Consensus.ELECT),
    _member("della_linear", _BY_RANK, Consensus.SUM),  # https://arxiv.org/abs/2406.11617
    _member("della", _BY_RANK, Consensus.ELECT, normalize=True),
    _member("breadcrumbs", _WITHOUT_OUTLIERS, Consensus.SUM),  # https://arxiv.org/abs/2312.06795
    _member("breadcrumbs_ties", _WITHOUT_OUTLIERS, Consensus.ELECT),
)
