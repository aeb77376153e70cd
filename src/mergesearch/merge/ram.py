"""Reinforced agent merging: what several deltas share is averaged, what one has alone is kept.

(https://arxiv.org/abs/2601.13572; mergekit `merge_methods/ram.py`)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mergesearch.merge.blocks import Block, Blocks, Float, Settings

Mask = npt.NDArray[np.bool_]


def ram(block: Block, settings: Settings, statistics: None = None) -> Float:
    """Return, per entry, b + the mean of those deltas whose magnitude is above `epsilon`."""
    return _merge(block, settings, [1.0] * len(block.inputs))


def ramplus_statistics(blocks: Blocks, size: int, settings: Settings) -> tuple[float, ...]:
    """Return how much each input's own entries are strengthened, over the whole tensor.

    1 + r clip(rho, 0, alpha), rho = (changed entries that others change too) / (changed by it
    alone), the divisor at least `epsilon`.
    """
    shared, alone = 0, 0
    for block in blocks():
        changed = np.stack(_changed(block, settings))
        count = changed.sum(axis=0)
        shared = shared + (changed & (count > 1)).sum(axis=(1, 2))
        alone = alone + (changed & (count == 1)).sum(axis=(1, 2))
    rho = shared / np.maximum(alone, settings.epsilon)
    factors = 1.0 + settings.r * np.clip(rho, 0.0, settings.alpha)
    return tuple(float(one) for one in factors)


def ramplus(block: Block, settings: Settings, statistics: tuple[float, ...]) -> Float:
    """Return as `ram`, entries that one input alone changes times that input's factor."""
    return _merge(block, settings, statistics)


def _merge(block: Block, settings: Settings, factors: Sequence[float]) -> Float:
    assert block.base is not None
    changed = _changed(block, settings)
    count = np.zeros(block.base.shape, dtype=np.float32)
    for mask in changed:
        count += mask
    divisor, alone = np.maximum(count, np.float32(1.0)), count == 1
    merged = np.zeros_like(block.base)
    for index, (mask, factor) in enumerate(zip(changed, factors, strict=True)):
        part = block.delta(index) * mask
        part *= np.where(alone, np.float32(factor), np.float32(1.0))
        part /= divisor
        merged += part
    merged += block.base
    return merged


def _changed(block: Block, settings: Settings) -> list[Mask]:
    """Which entries each input changes."""
    return [
        np.abs(block.delta(index)) > np.float32(settings.epsilon)
        for index in range(len(block.inputs))
    ]
