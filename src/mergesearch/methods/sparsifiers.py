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
from mergesearch.methods.inputs import InputRows, InputTensor, Settings
from mergesearch.methods.selection import (
    Cut,
    Entries,
    count_cuts,
    entries_of,
    mask_of_cut,
)

MaskMaker = Callable[[InputRows], Mask]
"""Says which entries of some rows stay."""

_SMALLEST_SUM = 1e-7
_FULL = 1 << 32  # number of 32-bit random numbers
_HALF_OF_KEY = 1 << 64
MOST_REMEMBERED = 1 << 27
"""Entries of a tensor whose masks are kept between passes: 16 MiB of bits."""


Sparsifier = Callable[[InputTensor, int, Settings], MaskMaker]
"""Says which entries of an input's delta stay, by the tensor, the input's place in it, and the
settings."""


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


def sparsified(
    sparsifier: Sparsifier, tensor: InputTensor, index: int, settings: Settings
) -> Sparse:
    """Return how an input's delta becomes sparse; a density of 1 or more leaves it as it is.

    With `rescale` what stays is multiplied by (sum of magnitudes before) / (after), both measured;
    near 1 / density for random masks, but less for those that keep large entries. Sums below 1e-7
    leave it as it is.

    Args:
        sparsifier: One of the functions below.
        index: Place of the input.
    """
    if settings["density"][index] >= 1.0:
        return Sparse()
    make_mask = sparsifier(tensor, index, settings)
    if not settings["rescale"]:
        return Sparse(make_mask)
    masks = RememberedMasks(make_mask, tensor.size)

    def sums(_: int, rows: InputRows) -> tuple[float, float]:
        values = rows.stored_inputs[index]
        return kernels().sum_magnitudes(values, rows.stored_base, masks.remember(rows))

    return Sparse(masks, restoring(tensor.map(sums)))


def restoring(sums: Iterable[tuple[float, float]]) -> float:
    """Return the factor that gives a sparse delta its former sum, from the sums of its blocks."""
    before, after = 0.0, 0.0
    for whole, kept in sums:
        before += whole
        after += kept
    usable = before >= _SMALLEST_SUM and after >= _SMALLEST_SUM
    return before / after if usable else 1.0


def largest(tensor: InputTensor, index: int, settings: Settings) -> MaskMaker:
    """Keep the `density` part of largest magnitude (https://arxiv.org/abs/2306.01708).

    At least one entry stays unless the density is 0.
    """
    density = settings["density"][index]
    kept = max(1, int(density * tensor.size)) if density > 0.0 else 0
    (cut,) = count_cuts(_entries(tensor, index), tensor.size, (kept,))
    return partial(_mask_of_cut, index, cut)


def without_outliers(tensor: InputTensor, index: int, settings: Settings) -> MaskMaker:
    """Drop the `gamma` part of largest magnitude and keep the next `density` part.

    Where both together are more than all, fewer large ones are dropped, so that the density holds
    (https://arxiv.org/abs/2312.06795).
    """
    kept = int(settings["density"][index] * tensor.size)
    largest_kept = min(tensor.size, kept + int(settings["gamma"][index] * tensor.size))
    counts = (largest_kept, largest_kept - kept)
    above, outliers = count_cuts(_entries(tensor, index), tensor.size, counts)

    def make_mask(rows: InputRows) -> Mask:
        mask = _mask_of_cut(index, above, rows)
        mask &= ~_mask_of_cut(index, outliers, rows)
        return mask

    return make_mask


def random(tensor: InputTensor, index: int, settings: Settings) -> MaskMaker:
    """Keep each entry with the chance `density` (https://arxiv.org/abs/2311.03099)."""
    below = int(_threshold(settings["density"][index]))
    upper, lower = divmod(tensor.noise_keys[index], _HALF_OF_KEY)

    def make_mask(rows: InputRows) -> Mask:
        mask = mask_of(rows.size)
        kernels().random_mask(lower, upper, rows.offset, rows.size, below, mask)
        return mask

    return make_mask


def by_rank(tensor: InputTensor, index: int, settings: Settings) -> MaskMaker:
    """Keep each entry with a chance that grows with its magnitude's rank in its row.

    From `density - epsilon` for the smallest of a row to `density + epsilon` for the largest, in
    equal steps; a vector is one row (https://arxiv.org/abs/2406.11617, MagPrune).
    """
    density, epsilon = settings["density"][index], settings["epsilon"][index]
    upper, lower = divmod(tensor.noise_keys[index], _HALF_OF_KEY)
    if density <= 0.0:
        return lambda rows: mask_of(rows.size)

    @cache
    def thresholds(cols: int) -> npt.NDArray[np.uint32]:
        steps = np.linspace(-1.0, 1.0, cols) if cols > 1 else np.zeros(1)
        return _threshold(density + epsilon * steps)

    def make_mask(rows: InputRows) -> Mask:
        mask, values = mask_of(rows.size), rows.stored_inputs[index]
        chances = thresholds(values.shape[-1])
        kernels().rank_mask(values, rows.stored_base, rows.offset, lower, upper, chances, mask)
        return mask

    return make_mask


def _entries(tensor: InputTensor, index: int) -> Entries:
    """All entries of one input's delta, block by block."""
    return entries_of(tensor, lambda _, rows: rows.stored_inputs[index], from_base=True)


def _mask_of_cut(index: int, cut: Cut, rows: InputRows) -> Mask:
    return mask_of_cut(cut, rows.offset, rows.stored_inputs[index], rows.stored_base)


def _threshold(chance: float | npt.NDArray[np.float64]) -> npt.NDArray[np.uint32]:
    """The 32-bit number below which a share `chance` of all such numbers lies."""
    return np.asarray(np.clip(np.floor(np.multiply(chance, _FULL)), 0, _FULL - 1), dtype=np.uint32)
