"""Ways to make a delta sparse, each planned on the whole tensor and applied block by block.

A sparsifier looks at a delta as often as it needs and returns a function that sparsifies one
block of whole rows. What it computes equals mergekit 0.1.5 (`sparsify.py`) but for the random
numbers, which are ours (`noise.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mergesearch.methods.inputs import Float
from mergesearch.methods.noise import noise
from mergesearch.methods.sparsify import Entries, count_cut, kept_by

Deltas = Callable[[Callable[[int, int, Float], Any]], Iterable[Any]]
"""Applies a function to a delta's consecutive blocks of rows: number, flat index of the first
entry, rows; the results come in order."""
Sparse = Callable[[Float, int], Float]
"""Sparsifies a block of rows, given the flat index of its first entry."""

_SMALLEST_SUM = 1e-7
_FULL = 1 << 32  # of the 32-bit random numbers


@dataclass(frozen=True)
class Sparsity:
    """How one input's delta is sparsified: the parameters of all sparsifiers.

    Attributes:
        density: Share of entries to keep; 1 or more leaves the delta as it is.
        gamma: Share of the largest entries to drop.
        epsilon: Half of the spread of the chances to stay around the density.
        key: Key of the random numbers, 128 bits.
    """

    density: float
    gamma: float = 0.0
    epsilon: float = 0.0
    key: int = 0


Sparsifier = Callable[[Deltas, int, Sparsity], Sparse]


def sparsified(
    sparsifier: Sparsifier, deltas: Deltas, size: int, sparsity: Sparsity, rescale: bool
) -> Sparse:
    """Return the function that sparsifies a delta, with its sum of magnitudes kept if `rescale`.

    Args:
        sparsifier: One of the functions below.
        deltas: Function that walks over the delta's blocks.
        size: Number of entries of the delta.
        sparsity: Parameters of the sparsifier.
        rescale: Whether to multiply by (sum of magnitudes before) / (after), both measured; near
            1 / density for random masks, but less for those that keep large entries. Sums below
            1e-7 leave the delta as it is.
    """
    if sparsity.density >= 1.0:
        return lambda delta, offset: delta
    sparse = sparsifier(deltas, size, sparsity)
    if not rescale:
        return sparse
    factor = restoring(deltas(lambda _, offset, delta: sums_of(delta, sparse(delta, offset))))
    return lambda delta, offset: sparse(delta, offset) * factor


def sums_of(delta: Float, sparse: Float) -> tuple[float, float]:
    """Return the sums of magnitudes of a block before and after it was made sparse."""
    before, after = (np.abs(values).sum(dtype=np.float64) for values in (delta, sparse))
    return float(before), float(after)


def restoring(sums: Iterable[tuple[float, float]]) -> np.float32:
    """Return the factor that gives a sparse delta its former sum, from the sums of its blocks."""
    before, after = 0.0, 0.0
    for of_delta, of_sparse in sums:
        before += of_delta
        after += of_sparse
    usable = before >= _SMALLEST_SUM and after >= _SMALLEST_SUM
    return np.float32(before / after if usable else 1.0)


def without_outliers(deltas: Deltas, size: int, sparsity: Sparsity) -> Sparse:
    """Drop the `gamma` part of largest magnitude and keep the next `density` part.

    Where both together are more than all, fewer large ones are dropped, so that the density holds
    (https://arxiv.org/abs/2312.06795).
    """
    kept = int(sparsity.density * size)
    lowest = max(0, size - kept - int(sparsity.gamma * size))
    above = count_cut(_entries(deltas), size, size - lowest)
    outliers = count_cut(_entries(deltas), size, size - lowest - kept)

    def sparse(delta: Float, offset: int) -> Float:
        return delta * (kept_by(delta, above, offset) & ~kept_by(delta, outliers, offset))

    return sparse


def random(deltas: Deltas, size: int, sparsity: Sparsity) -> Sparse:
    """Keep each entry with the chance `density` (https://arxiv.org/abs/2311.03099)."""
    below = _threshold(sparsity.density)

    def sparse(delta: Float, offset: int) -> Float:
        return delta * (noise(sparsity.key, offset, delta.size) < below).reshape(delta.shape)

    return sparse


def by_rank(deltas: Deltas, size: int, sparsity: Sparsity) -> Sparse:
    """Keep each entry with a chance that grows with its magnitude's rank in its row.

    From `density - epsilon` for the smallest of a row to `density + epsilon` for the largest, in
    equal steps; a vector is one row (https://arxiv.org/abs/2406.11617, MagPrune).
    """
    if sparsity.density <= 0.0:
        return lambda delta, offset: delta * np.float32(0.0)

    def sparse(delta: Float, offset: int) -> Float:
        cols = delta.shape[-1]
        steps = np.linspace(-1.0, 1.0, cols) if cols > 1 else np.zeros(1)
        chances = _threshold(sparsity.density + sparsity.epsilon * steps)
        order = np.argsort(np.abs(delta), axis=-1, kind="stable")
        below = np.empty(delta.shape, dtype=np.uint32)
        np.put_along_axis(below, order, np.broadcast_to(chances, delta.shape), axis=-1)
        return delta * (noise(sparsity.key, offset, delta.size).reshape(delta.shape) < below)

    return sparse


def _entries(deltas: Deltas) -> Entries:
    return Entries(
        lambda use: deltas(lambda index, _, delta: use(index, np.ascontiguousarray(delta), None))
    )


def _threshold(chance: float | npt.NDArray[np.float64]) -> npt.NDArray[np.uint32]:
    """The 32-bit number below which a share `chance` of all such numbers lies."""
    return np.asarray(np.clip(np.floor(np.multiply(chance, _FULL)), 0, _FULL - 1), dtype=np.uint32)
