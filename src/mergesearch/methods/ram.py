"""Reinforced agent merging: what several deltas share is averaged, what one has alone is kept.

(https://arxiv.org/abs/2601.13572; mergekit `merge_methods/ram.py`)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mergesearch.methods.blocks import Block, Blocks, Float, Settings, weighted_sum
from mergesearch.methods.gram import vectors_of

Mask = npt.NDArray[np.bool_]


def ram(block: Block, settings: Settings, statistics: None = None) -> Float:
    """Return, per entry, b + the mean of those deltas whose magnitude is above `epsilon`."""
    return _merge(block, settings, None)


def ramplus_statistics(blocks: Blocks, size: int, settings: Settings) -> tuple[float, ...]:
    """Return how much each input's own entries are strengthened, over the whole tensor.

    1 + r clip(rho, 0, alpha), rho = (changed entries that others change too) / (changed by it
    alone), the divisor at least `epsilon`.
    """
    shared, alone = 0, 0
    for block in blocks():
        changed = np.stack(_changed(vectors_of(block), settings))
        count = changed.sum(axis=0)
        shared = shared + (changed & (count > 1)).sum(axis=(1, 2))
        alone = alone + (changed & (count == 1)).sum(axis=(1, 2))
    rho = shared / np.maximum(alone, settings.epsilon)
    factors = 1.0 + settings.r * np.clip(rho, 0.0, settings.alpha)
    return tuple(float(one) for one in factors)


def ramplus(block: Block, settings: Settings, statistics: tuple[float, ...]) -> Float:
    """Return as `ram`, entries that one input alone changes times that input's factor."""
    return _merge(block, settings, statistics)


def _merge(block: Block, settings: Settings, factors: Sequence[float] | None) -> Float:
    assert block.base is not None
    deltas = vectors_of(block)
    changed = _changed(deltas, settings)
    count, merged = np.zeros_like(block.base), np.zeros_like(block.base)
    for delta, mask in zip(deltas, changed, strict=True):
        count += mask
        merged += delta * mask
    merged /= np.maximum(count, np.float32(1.0))
    if factors is not None:
        owners = weighted_sum([mask.astype(np.float32) for mask in changed], factors)
        merged *= np.where(count == 1, owners, np.float32(1.0))
    merged += block.base
    return merged


def _changed(deltas: Sequence[Float], settings: Settings) -> list[Mask]:
    """Which entries each input changes."""
    return [np.abs(delta) > np.float32(settings.epsilon) for delta in deltas]
