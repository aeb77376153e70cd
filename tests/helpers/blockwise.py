"""Merging whole tensors the way a plan does: statistics over some blocks, rows over others."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from gguf import GGMLQuantizationType as Type

from mergesearch.methods import METHODS, Block, Settings
from mergesearch.methods.blocks import Blocks
from mergesearch.methods.combination import Combination, blocks_of


def cut(
    base: np.ndarray | None, inputs: Sequence[np.ndarray], places: Sequence[int]
) -> list[Block]:
    """The rows in blocks that end at `places` and at the last row."""
    rows, cols = inputs[0].shape
    edges = [0, *places, rows]
    return [
        Block(
            None if base is None else base[start:stop],
            [one[start:stop] for one in inputs],
            start * cols,
        )
        for start, stop in pairwise(edges)
    ]


def rows_of(merged: np.ndarray | Combination) -> np.ndarray:
    """What a method gives, in float32; what kernels compute must be finite."""
    if isinstance(merged, np.ndarray):
        return merged
    blocks = blocks_of(merged, Type.F32)
    assert blocks is not None
    return blocks.view(np.float32)


def merge(
    method: str,
    base: np.ndarray | None,
    *inputs: np.ndarray,
    counted: Sequence[int] = (),
    merged: Sequence[int] = (),
    **settings: Any,
) -> np.ndarray:
    """Merge float32 matrices, cut at `counted` for statistics and at `merged` for the rows."""
    chosen, given = METHODS[method], Settings(**settings)
    blocks = cut(base, inputs, counted)
    size = inputs[0].size
    statistics = chosen.statistics and chosen.statistics(Blocks.of(blocks), size, given)
    parts = [rows_of(chosen.merge(one, given, statistics)) for one in cut(base, inputs, merged)]
    return np.concatenate(parts)


def random_tensors(seed: int, count: int, shape: tuple[int, int] = (6, 8)) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape).astype(np.float32) for _ in range(count)]
