"""Ways to make a delta sparse, each planned on the whole tensor and applied block by block.

A sparsifier looks at a delta as often as it needs and returns a function that says which entries
of some rows stay. What it chooses equals mergekit 0.1.5 (`sparsify.py`) but for the random numbers,
which are ours (`noise.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
import numpy.typing as npt

from mergesearch._kernels import Mask, kernels, mask_of
from mergesearch.methods.inputs import InputRows, InputTensor
from mergesearch.methods.selection import Cut, Entries, count_cuts, magnitude_cut, mask_of_cut

MaskMaker = Callable[[InputRows], Mask]
"""Says which entries of some rows stay."""

_SMALLEST_SUM = 1e-7
_FULL = 1 << 32  # number of 32-bit random numbers
_HALF_OF_KEY = 1 << 64
MOST_REMEMBERED = 1 << 27
"""Entries of a tensor whose masks are kept between passes: 16 MiB of bits."""


@dataclass(frozen=True)
class Delta:
    """One input of a tensor, as the difference from the base.

    Attributes:
        tensor: The whole tensor of every input.
        index: Place of the input.
    """

    tensor: InputTensor
    index: int

    @property
    def entries(self) -> Entries:
        """All entries, block by block."""
        return Entries(
            lambda use: self.tensor.map(
                lambda number, rows: use(number, rows.stored_inputs[self.index], rows.stored_base)
            )
        )


@dataclass(frozen=True)
class Sparsity:
    """How one input's delta is made sparse: the parameters of all sparsifiers.

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

    @property
    def halves_of_key(self) -> tuple[int, int]:
        """The lower and the upper 64 bits of the key."""
        return self.key % _HALF_OF_KEY, self.key // _HALF_OF_KEY


Sparsifier = Callable[[Delta, Sparsity], MaskMaker]


@dataclass(frozen=True)
class Sparse:
    """How one input's delta becomes sparse.

    Attributes:
        make_mask: Function that says which entries stay; None where all do.
        factor: Factor of what stays.
    """

    make_mask: MaskMaker | None = None
    factor: float = 1.0

    def mask(self, rows: InputRows) -> Mask | None:
        """Return which entries of some rows stay, None for all."""
        return None if self.make_mask is None else self.make_mask(rows)


class RememberedMasks:
    """Masks that a pass over the whole tensor made, each kept until it is used once more.

    Args:
        size: Number of entries of the tensor; masks of a very large one are made each time.
    """

    def __init__(self, make: MaskMaker, size: int) -> None:
        self._make = make
        self._keeps = size <= MOST_REMEMBERED
        self._masks: dict[tuple[int, int], Mask] = {}  # by the offset and number of their entries

    def remember(self, rows: InputRows, mask: Mask | None = None) -> Mask:
        """Return the mask of some rows, made already or not, and keep it."""
        made = self._make(rows) if mask is None else mask
        if self._keeps:
            self._masks[rows.offset, rows.size] = made
        return made

    def __call__(self, rows: InputRows) -> Mask:
        """Return the mask of some rows, and forget it; where rows are cut otherwise, all."""
        mask = self._masks.pop((rows.offset, rows.size), None)
        if mask is None:
            self._masks.clear()
            mask = self._make(rows)
        return mask


def sparsified(sparsifier: Sparsifier, delta: Delta, sparsity: Sparsity, rescale: bool) -> Sparse:
    """Return how a delta becomes sparse.

    Args:
        sparsifier: One of the functions below.
        rescale: Whether what stays is multiplied by (sum of magnitudes before) / (after), both
            measured; near 1 / density for random masks, but less for those that keep large
            entries. Sums below 1e-7 leave the delta as it is.
    """
    if sparsity.density >= 1.0:
        return Sparse()
    make_mask = sparsifier(delta, sparsity)
    if not rescale:
        return Sparse(make_mask)
    masks = RememberedMasks(make_mask, delta.tensor.size)

    def sums(_: int, rows: InputRows) -> tuple[float, float]:
        values = rows.stored_inputs[delta.index]
        return kernels().sum_magnitudes(values, rows.stored_base, masks.remember(rows))

    return Sparse(masks, restoring(delta.tensor.map(sums)))


def restoring(sums: Iterable[tuple[float, float]]) -> float:
    """Return the factor that gives a sparse delta its former sum, from the sums of its blocks."""
    before, after = 0.0, 0.0
    for whole, kept in sums:
        before += whole
        after += kept
    usable = before >= _SMALLEST_SUM and after >= _SMALLEST_SUM
    return before / after if usable else 1.0


def largest(delta: Delta, sparsity: Sparsity) -> MaskMaker:
    """Keep the `density` part of largest magnitude (https://arxiv.org/abs/2306.01708)."""
    cut = magnitude_cut(delta.entries, delta.tensor.size, sparsity.density)
    return partial(_mask_of_cut, delta.index, cut)


def without_outliers(delta: Delta, sparsity: Sparsity) -> MaskMaker:
    """Drop the `gamma` part of largest magnitude and keep the next `density` part.

    Where both together are more than all, fewer large ones are dropped, so that the density holds
    (https://arxiv.org/abs/2312.06795).
    """
    size = delta.tensor.size
    kept = int(sparsity.density * size)
    lowest = max(0, size - kept - int(sparsity.gamma * size))
    above, outliers = count_cuts(delta.entries, size, (size - lowest, size - lowest - kept))

    def make_mask(rows: InputRows) -> Mask:
        mask = _mask_of_cut(delta.index, above, rows)
        mask &= ~_mask_of_cut(delta.index, outliers, rows)
        return mask

    return make_mask


def random(delta: Delta, sparsity: Sparsity) -> MaskMaker:
    """Keep each entry with the chance `density` (https://arxiv.org/abs/2311.03099)."""
    below = int(_threshold(sparsity.density))

    def make_mask(rows: InputRows) -> Mask:
        mask = mask_of(rows.size)
        kernels().random_mask(*sparsity.halves_of_key, rows.offset, rows.size, below, mask)
        return mask

    return make_mask


def by_rank(delta: Delta, sparsity: Sparsity) -> MaskMaker:
    """Keep each entry with a chance that grows with its magnitude's rank in its row.

    From `density - epsilon` for the smallest of a row to `density + epsilon` for the largest, in
    equal steps; a vector is one row (https://arxiv.org/abs/2406.11617, MagPrune).
    """
    if sparsity.density <= 0.0:
        return lambda rows: mask_of(rows.size)

    @cache
    def thresholds(cols: int) -> npt.NDArray[np.uint32]:
        steps = np.linspace(-1.0, 1.0, cols) if cols > 1 else np.zeros(1)
        return _threshold(sparsity.density + sparsity.epsilon * steps)

    def make_mask(rows: InputRows) -> Mask:
        mask, values = mask_of(rows.size), rows.stored_inputs[delta.index]
        key, chances = sparsity.halves_of_key, thresholds(values.shape[-1])
        kernels().rank_mask(values, rows.stored_base, rows.offset, *key, chances, mask)
        return mask

    return make_mask


def _mask_of_cut(index: int, cut: Cut, rows: InputRows) -> Mask:
    return mask_of_cut(cut, rows.offset, rows.stored_inputs[index], rows.stored_base)


def _threshold(chance: float | npt.NDArray[np.float64]) -> npt.NDArray[np.uint32]:
    """The 32-bit number below which a share `chance` of all such numbers lies."""
    return np.asarray(np.clip(np.floor(np.multiply(chance, _FULL)), 0, _FULL - 1), dtype=np.uint32)
