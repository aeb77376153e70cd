"""The task-arithmetic family: base + lambda * consensus of the weighted, sparsified deltas.

Every member is one row of `FAMILY`: how each delta is made sparse, and how the deltas are added.
Whether a sparse delta is rescaled and the sum normalized are parameters of the recipe.
Equal to mergekit 0.1.5 (`generalized_task_arithmetic.py`) but for the order of summation and the
random numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial

import numpy as np

from mergesearch.merge.blocks import (
    Block,
    Blocks,
    Float,
    Method,
    Settings,
    agreeing,
    sum32,
)
from mergesearch.merge.sparsifiers import (
    Choice,
    Sparse,
    Sparsifier,
    by_rank,
    largest,
    random,
    sparsified,
    without_outliers,
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
        divisor = sum32(weights)
        total /= divisor if abs(divisor) >= 1e-8 else np.float32(1.0)
    return total


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


FAMILY: dict[str, tuple[Sparsifier | None, Consensus]] = {
    "task_arithmetic": (None, add),  # https://arxiv.org/abs/2212.04089
    "ties": (largest, elect),  # https://arxiv.org/abs/2306.01708
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

    def deltas(index: int) -> Iterable[tuple[int, Float]]:
        for block in blocks():
            yield block.offset, block.delta(index)

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
    consensus: Consensus, block: Block, settings: Settings, sparse: tuple[Sparse, ...] | None
) -> Float:
    """Return base + lambda * consensus(weighted, sparsified deltas)."""
    assert block.base is not None
    weighted = []
    for index, weight in enumerate(settings.weights):
        delta = block.delta(index)
        if sparse is not None:
            delta = sparse[index](delta, block.offset)
        weighted.append(delta * np.float32(weight))
    merged = consensus(weighted, settings.weights, settings.normalize)
    if settings.scale != 1.0:
        merged *= np.float32(settings.scale)
    merged += block.base
    return merged


def family_methods() -> dict[str, Method]:
    """Return the methods of `FAMILY`."""
    return {
        name: Method(
            partial(merge_deltas, consensus),
            None if sparsifier is None else partial(plan_sparse, sparsifier),
            takes_base=True,
        )
        for name, (sparsifier, consensus) in FAMILY.items()
    }
