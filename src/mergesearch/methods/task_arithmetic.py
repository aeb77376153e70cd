"""The task-arithmetic family: base + lambda * consensus of the weighted, sparsified deltas.

task_arithmetic and ties are combinations that the kernels compute. Every other member is told apart
by how each delta is made sparse and how the deltas are added. Whether a sparse delta is rescaled
and the sum normalized are parameters of the recipe.
Equal to mergekit 0.1.5 (`generalized_task_arithmetic.py`) but for the order of summation and the
random numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

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
from mergesearch.methods.inputs import Float, InputRows, InputTensor, Settings, agreeing, sum32
from mergesearch.methods.shares import weight_shares
from mergesearch.methods.sparsifiers import (
    Sparse,
    Sparsifier,
    Sparsity,
    by_rank,
    random,
    restoring,
    sparsified,
    sums_of,
    without_outliers,
)
from mergesearch.methods.sparsify import Cut, Entries, apply_cut, magnitude_cut


@dataclass(frozen=True)
class Trim:
    """Which entries of each input's delta stay, and what those are multiplied by."""

    cuts: tuple[Cut, ...]
    factors: tuple[float, ...]


def task_arithmetic(rows: InputRows, settings: Settings, statistics: None = None) -> Combination:
    """Return base + lambda * sum of the weighted deltas (https://arxiv.org/abs/2212.04089).

    With `normalize` the sum is divided by that of the weights, unless that is almost zero.
    """
    divisor = float(_divisor(settings["weight"])) if settings["normalize"] else 1.0
    return Combination(rows, settings["weight"], divisor, settings["lambda"])


def ties(rows: InputRows, settings: Settings, statistics: Trim) -> Combination:
    """Return base + lambda * what the weighted, trimmed deltas agree on; see `elect`.

    Each delta keeps its entries of largest magnitude (https://arxiv.org/abs/2306.01708).
    """
    return Combination(
        rows,
        settings["weight"],
        scale=settings["lambda"],
        cuts=statistics.cuts,
        factors=statistics.factors,
        elect=True,
        normalize=settings["normalize"],
    )


def ties_statistics(tensor: InputTensor, settings: Settings) -> Trim:
    """Return the cut of each delta, and with `rescale` what restores its sum of magnitudes."""
    cuts = tuple(
        magnitude_cut(_deltas(tensor, index), tensor.size, density)
        for index, density in enumerate(settings["density"])
    )

    def factor(index: int, cut: Cut) -> float:
        if not settings["rescale"] or settings["density"][index] >= 1.0:
            return 1.0

        def sums(_: int, rows: InputRows) -> tuple[float, float]:
            delta = rows.delta(index)
            return sums_of(delta, apply_cut(delta, cut, rows.offset))

        return float(restoring(tensor.map(sums)))

    return Trim(cuts, tuple(factor(index, cut) for index, cut in enumerate(cuts)))


def _deltas(tensor: InputTensor, index: int) -> Entries:
    """The entries of one input's delta."""
    return Entries(
        lambda use: tensor.map(
            lambda number, rows: use(number, rows.stored_inputs[index], rows.stored_base)
        )
    )


Consensus = Callable[[Sequence[Float], Sequence[float], bool], Float]


def add(weighted: Sequence[Float], weights: Sequence[float], normalize: bool) -> Float:
    """Return the sum of the weighted deltas, divided by the sum of weights if `normalize`.

    A sum of weights that is almost zero divides by one (https://arxiv.org/abs/2212.04089).
    """
    total = weighted[0].copy()
    for delta in weighted[1:]:
        total += delta
    if normalize:
        total /= _divisor(weights)
    return total


def _divisor(weights: Sequence[float]) -> np.float32:
    total = sum32(weights)
    return total if abs(total) >= 1e-8 else np.float32(1.0)


def elect(weighted: Sequence[Float], weights: Sequence[float], normalize: bool) -> Float:
    """Return, per entry, the sum of the weighted deltas that have the sign of all their sum.

    With `normalize` an entry is divided by the sum of the weights that agreed
    (https://arxiv.org/abs/2306.01708).
    """
    merged, divisor = np.zeros_like(weighted[0]), np.zeros_like(weighted[0])
    for delta, weight, agrees in zip(weighted, weights, agreeing(weighted), strict=True):
        merged += delta * agrees
        divisor += np.float32(weight) * agrees
    if normalize:
        divisor[divisor == 0] = 1.0
        merged /= divisor
    return merged


def plan_sparse(
    sparsifier: Sparsifier, tensor: InputTensor, settings: Settings
) -> tuple[Sparse, ...]:
    """Return, per input, the function that sparsifies its delta."""

    def deltas(index: int, use: Callable[[int, int, Float], Any]) -> Iterable[Any]:
        return tensor.map(lambda number, rows: use(number, rows.offset, rows.delta(index)))

    return tuple(
        sparsified(
            sparsifier,
            partial(deltas, index),
            tensor.size,
            _sparsity(settings, index, tensor.noise_keys),
            settings["rescale"],
        )
        for index in range(len(settings["density"]))
    )


def _sparsity(settings: Settings, index: int, keys: Sequence[int]) -> Sparsity:
    own = {name: settings[name][index] for name in ("gamma", "epsilon") if name in settings}
    return Sparsity(settings["density"][index], key=keys[index] if keys else 0, **own)


def merge_deltas(
    consensus: Consensus, rows: InputRows, settings: Settings, sparse: tuple[Sparse, ...]
) -> Float:
    """Return base + lambda * consensus(weighted, sparsified deltas)."""
    assert rows.base is not None
    weighted = []
    for index, weight in enumerate(settings["weight"]):
        delta = sparse[index](rows.delta(index), rows.offset)
        weighted.append(delta * np.float32(weight))
    merged = consensus(weighted, settings["weight"], settings["normalize"])
    if settings["lambda"] != 1.0:
        merged *= np.float32(settings["lambda"])
    merged += rows.base
    return merged


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
    total = "elect" if consensus is elect else "sum"
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
    )


METHODS = (
    Method(
        "task_arithmetic",
        task_arithmetic,
        (WEIGHT, switch("normalize", False), LAMBDA, INT8_MASK),
        Base.REQUIRED,
        shares=weight_shares,
        formula="b + lambda * sum(w_i d_i), divided by sum(w_i) where `normalize`",
        in_mergekit=True,
        without_effect=("density", "rescale"),
    ),
    Method(
        "ties",
        ties,
        (WEIGHT, DENSITY, switch("normalize", True), switch("rescale", False), LAMBDA, INT8_MASK),
        Base.REQUIRED,
        ties_statistics,
        weight_shares,
        formula="b + lambda * elect(w_i s(d_i)), s keeping the `density` part of largest magnitude",
        in_mergekit=True,
    ),
    _member("dare_linear", _RANDOM, add),  # https://arxiv.org/abs/2311.03099
    _member("dare_ties", _RANDOM, elect),
    _member("della_linear", _BY_RANK, add),  # https://arxiv.org/abs/2406.11617
    _member("della", _BY_RANK, elect, normalize=True),
    _member("breadcrumbs", _WITHOUT_OUTLIERS, add),  # https://arxiv.org/abs/2312.06795
    _member("breadcrumbs_ties", _WITHOUT_OUTLIERS, elect),
)
