"""How much each parent differs from the base, by groups of tensors and by layers."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mergesearch.gguf import layer_of
from mergesearch.parents import Checkpoint
from mergesearch.space import Mass

RUNS, ROWS = 4, 16
"""Runs of neighbouring rows that stand for a tensor, evenly spread over it, and rows of each."""


def masses(parents: Mapping[str, Checkpoint], base: str | None) -> list[Mass]:
    """Return how much each parent differs from the base in each tensor, from a sample of rows.

    Args:
        base: Id of the parent that deltas are taken from; None for the mean of all.
    """
    found = []
    for name in next(iter(parents.values())).tensors:
        holders = [ref for ref, parent in parents.items() if name in parent.tensors]
        if base and base not in holders:
            continue
        # Vocabularies differ: the rows that all have are compared.
        shapes = [parents[ref].tensors[name].shape for ref in holders]
        n_rows = min(shape[0] if len(shape) > 1 else 1 for shape in shapes)
        sizes = np.zeros(len(holders))
        for start, stop in _runs(n_rows):
            rows = np.stack([parents[ref].rows(name, start, stop) for ref in holders])
            origin = rows[holders.index(base)] if base else rows.mean(axis=0)
            gaps = (rows - origin).astype(np.float64).reshape(len(holders), -1)
            sizes += (gaps**2).sum(axis=1) * max(1.0, n_rows / (RUNS * ROWS))
        layer = layer_of(name)
        found += [
            Mass(ref, name, layer, size) for ref, size in zip(holders, sizes.tolist(), strict=True)
        ]
    return found


def layer_masses(parents: Mapping[str, Checkpoint], base: str | None) -> list[float]:
    """Return the squared length of all parents' deltas in each layer; arguments as for `masses`."""
    by_layer = np.zeros(next(iter(parents.values())).layout.n_layers)
    for mass in masses(parents, base):
        if mass.layer is not None and mass.layer < len(by_layer):
            by_layer[mass.layer] += mass.size
    found: list[float] = by_layer.tolist()
    return found


def _runs(n_rows: int) -> list[tuple[int, int]]:
    """The rows that stand for a tensor, all of a small one."""
    if n_rows <= RUNS * ROWS:
        return [(0, n_rows)]
    starts = np.linspace(0, n_rows - ROWS, RUNS).astype(int).tolist()
    return [(start, start + ROWS) for start in starts]
