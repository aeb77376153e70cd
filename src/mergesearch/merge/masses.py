"""How much the parents differ from their base, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mergesearch.gguf import layer_of
from mergesearch.parents import Checkpoint

RUNS, ROWS = 4, 16
"""Runs of neighbouring rows that stand for a tensor, evenly spread over it, and rows of each."""


def layer_masses(parents: Mapping[str, Checkpoint], base: str | None) -> list[float]:
    """Return the squared length of all parents' deltas in each layer, from a sample of rows.

    Args:
        parents: Parents by id.
        base: Id of the parent that deltas are taken from; None for the mean of all.
    """
    first = next(iter(parents.values()))
    masses = np.zeros(first.layout.n_layers)
    for name, info in first.tensors.items():
        layer = layer_of(name)
        holders = [parent for parent in parents.values() if name in parent.tensors]
        if layer is None or layer >= len(masses) or (base and name not in parents[base].tensors):
            continue
        n_rows = info.shape[0] if len(info.shape) > 1 else 1
        for start, stop in _runs(n_rows):
            rows = np.stack([parent.rows(name, start, stop) for parent in holders])
            origin = parents[base].rows(name, start, stop) if base else rows.mean(axis=0)
            gaps = (rows - origin).astype(np.float64)
            masses[layer] += (gaps**2).sum() * max(1.0, n_rows / (RUNS * ROWS))
    found: list[float] = masses.tolist()
    return found


def _runs(n_rows: int) -> list[tuple[int, int]]:
    """The rows that stand for a tensor, all of a small one."""
    if n_rows <= RUNS * ROWS:
        return [(0, n_rows)]
    starts = np.linspace(0, n_rows - ROWS, RUNS).astype(int).tolist()
    return [(start, start + ROWS) for start in starts]
