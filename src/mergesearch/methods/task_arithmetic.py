"""The task-arithmetic family: base + lambda * consensus of the weighted, sparsified deltas.

task_arithmetic and ties are combinations that the kernels compute. Every other member is one row of
`FAMILY`: how each delta is made sparse, and how the deltas are added. Whether a sparse delta is
rescaled and the sum normalized are parameters of the recipe.
Equal to mergekit 0.1.5 (`generalized_task_arithmetic.py`) but for the order of summation and the
random numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from mergesearch.methods.blocks import (
    Block,
    Blocks,
    Float,
    Method,
    Settings,
    agreeing,
    sum32,
)
from mergesearch.methods.combination import Combination
from mergesearch.methods.sparsifiers import (
    Choice,
    Sparse,
    Sparsifier,
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


def task_arithmetic(block: Block, settings: Settings, statistics: None = None) -> Combination:
    """Return base + lambda * sum of the weighted deltas (https://arxiv.org/abs/2212.04089).

    With `normalize` the sum is divided by that of the weights, unless that is almost zero.
    """
    divisor = float(_divisor(settings.weights)) if settings.normalize else 1.0
    return Combination(block, settings.weights, divisor, settings.scale)


def ties(block: Block, settings: Settings, statistics: Trim) -> Combination:
    """Return base + lambda * what the weighted, trimmed deltas agree on; see `elect`.

    Each delta keeps its entries of largest magnitude (https://arxiv.org/abs/2306.01708).
    """
    return Combination(
        block,
        settings.weights,
        scale=settings.scale,
        cuts=statistics.cuts,
        factors=statistics.factors,
        elect=True,
        normalize=settings.normalize,
    )


def ties_statistics(blocks: Blocks, size: int, settings: Settings) -> Trim:
    """Return the cut of each delta, and with `rescale` what restores its sum of magnitudes."""
    cuts = tuple(
        magnitude_cut(_deltas(blocks, index), size, density)
        for index, density in enumerate(settings.densities)
    )

    def factor(index: int, cut: Cut) -> float:
        if not settings.rescale or settings.densities[index] >= 1.0:
            return 1.0

        def sums(_: int, block: Block) -> tuple[float, float]:
            delta = block.delta(index)
            return sums_of(delta, apply_cut(delta, cut, block.offset))

        return float(restoring(blocks.map(sums)))

    return Trim(cuts, tuple(factor(index, cut) for index, cut in enumerate(cuts)))


def _deltas(blocks: Blocks, index: int) -> Entries:
    """The entries of one input's delta."""
    return Entries(
        lambda use: blocks.map(
            lambda number, block: use(number, block.stored_inputs[index], block.stored_base)
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


FAMILY: dict[str, tuple[Sparsifier, Consensus]] = {
    "dare_linear": (random, add),  # https://arxiv.org/abs/2311.03099
    "dare_ties": (random, elect),
    "della_linear": (by_rank, add),  # https://arxiv.org/abs/2406.11617
    "della": (by_rank, elect),
    "breadcrumbs": (without_outliers, add),  # https://arxiv.org/abs/2312.06795
    "breadcrumbs_ties": (without_outliers, elect),
}


def plan_sparse(
    sparsifier: Sparsifier, blocks: Blocks, size: int, settings: Settings
) -> tuple[Sparse, ...]:
    """Return, per input, the function that sparsifies its delta."""

    def deltas(index: int, use: Callable[[int, int, Float], Any]) -> Iterable[Any]:
        return blocks.map(lambda number, block: use(number, block.offset, block.delta(index)))

    return tuple(
        sparsified(
            sparsifier,
            partial(deltas, index),
            size,
            _choice(settings, index),
            settings.rescale,
        )
        for index in range(len(settings.densities))
    )


def _choice(settings: Settings, index: int) -> Choice:
    def of(values: Sequence[float]) -> float:
        return values[index] if values else 0.0

    key = settings.keys[index] if settings.keys else 0
    return Choice(settings.densities[index], of(settings.gammas), of(settings.epsilons), key)


def merge_deltas(
    consensus: Consensus, block: Block, settings: Settings, sparse: tuple[Sparse, ...]
) -> Float:
    """Return base + lambda * consensus(weighted, sparsified deltas)."""
    assert block.base is not None
    weighted = []
    for index, weight in enumerate(settings.weights):
        delta = sparse[index](block.delta(index), block.offset)
        weighted.append(delta * np.float32(weight))
    merged = consensus(weighted, settings.weights, settings.normalize)
    if settings.scale != 1.0:
        merged *= np.float32(settings.scale)
    merged += block.base
    return merged


def family_methods() -> dict[str, Method]:
    """Return all methods of the family."""
    return {
        "task_arithmetic": Method(task_arithmetic, None, takes_base=True),
        "ties": Method(ties, ties_statistics, takes_base=True),
    } | {
        name: Method(
            partial(merge_deltas, consensus), partial(plan_sparse, sparsifier), takes_base=True
        )
        for name, (sparsifier, consensus) in FAMILY.items()
    }
