"""Keeping only the entries of largest magnitude, exactly, without holding the whole tensor.

Non-negative float32 numbers order as their bits do, so the k-th largest magnitude is found by
counting: first the upper bits, then the middle ones of the entries that share those, then the
lower ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.float32]
_DIGITS = ((20, 11), (10, 10), (0, 10))  # (shift, width) of each counting pass, 31 bits in all


@dataclass(frozen=True)
class Cut:
    """Which entries of a tensor stay: those above `bits`, and of those equal the first ones.

    Attributes:
        bits: float32 bits of the smallest magnitude that stays.
        ties_end: flat index in the tensor; entries equal to `bits` stay before it.
    """

    bits: int
    ties_end: int


ALL = Cut(0, 2**63 - 1)
NONE = Cut(2**32 - 1, 0)


def magnitude_cut(blocks: Callable[[], Iterable[Float]], size: int, density: float) -> Cut:
    """Return the cut that keeps `max(1, int(density * size))` entries of largest magnitude.

    Among equal magnitudes the earlier entry stays, as with a stable sort
    (mergekit `sparsify.py`, `magnitude`).

    Args:
        blocks: returns the tensor's consecutive blocks, each time anew.
        size: entries of the tensor.
        density: share of entries to keep; 1 or more keeps all, 0 or less none.
    """
    if density >= 1.0:
        return ALL
    if density <= 0.0 or size == 0:
        return NONE
    return count_cut(blocks, size, max(1, int(density * size)))


def count_cut(blocks: Callable[[], Iterable[Float]], size: int, wanted: int) -> Cut:
    """Return the cut that keeps the `wanted` entries of largest magnitude.

    Args:
        blocks: returns the tensor's consecutive blocks, each time anew.
        size: entries of the tensor.
        wanted: entries to keep, 0 to `size`.
    """
    if wanted >= size:
        return ALL
    if wanted <= 0:
        return NONE
    bits, equal = 0, size
    for shift, width in _DIGITS:
        counts = np.zeros(1 << width, dtype=np.int64)
        for block in blocks():
            counts += _digit_counts(_bits(block), bits, shift, width)
        from_top = np.cumsum(counts[::-1])
        place = int(np.searchsorted(from_top, wanted))
        digit = len(counts) - 1 - place
        equal = int(counts[digit])
        wanted -= int(from_top[place]) - equal
        bits |= digit << shift
    if wanted == equal:
        return Cut(bits, ALL.ties_end)
    return Cut(bits, _end_of_ties(blocks(), bits, wanted))


def ranked(blocks: Callable[[], Iterable[Float]], ranks: Sequence[int]) -> list[np.float32]:
    """Return the magnitudes that would stand at `ranks` were all of a tensor's sorted upwards.

    Args:
        blocks: returns the tensor's consecutive blocks, each time anew.
        ranks: 0 for the smallest.
    """
    found, below = [0] * len(ranks), list(ranks)
    for shift, width in _DIGITS:
        counts = {bits: np.zeros(1 << width, dtype=np.int64) for bits in found}
        for block in blocks():
            magnitudes = _bits(block)
            for bits in counts:
                counts[bits] += _digit_counts(magnitudes, bits, shift, width)
        for index, bits in enumerate(found):
            up_to = np.cumsum(counts[bits])
            digit = int(np.searchsorted(up_to, below[index], side="right"))
            below[index] -= int(up_to[digit] - counts[bits][digit])
            found[index] = bits | digit << shift
    return list(np.array(found, dtype=np.uint32).view(np.float32))


def apply_cut(block: Float, cut: Cut, offset: int) -> Float:
    """Return a block with the entries that `cut` drops multiplied by zero.

    Args:
        block: consecutive entries of the tensor, any shape.
        cut: of the whole tensor.
        offset: flat index of the block's first entry.
    """
    if cut == ALL:
        return block
    return block * kept_by(block, cut, offset)


def kept_by(block: Float, cut: Cut, offset: int) -> npt.NDArray[np.bool_]:
    """Return which of a block's entries stay, in its shape; arguments as `apply_cut`."""
    bits = _bits(block)
    kept = bits >= np.uint32(cut.bits)
    if cut.ties_end < offset + block.size:
        ties = np.flatnonzero(bits == np.uint32(cut.bits))
        kept[ties[ties + offset >= cut.ties_end]] = False
    return kept.reshape(block.shape)


def _bits(block: Float) -> npt.NDArray[np.uint32]:
    """Bits of the magnitudes, flat, without the sign."""
    return np.ascontiguousarray(block).reshape(-1).view(np.uint32) & np.uint32(0x7FFFFFFF)


def _digit_counts(
    bits: npt.NDArray[np.uint32], prefix: int, shift: int, width: int
) -> npt.NDArray[np.int64]:
    """How often each digit stands at `shift`, among the entries that agree with `prefix` above."""
    above = shift + width
    if above < 31:
        bits = bits[bits >> np.uint32(above) == np.uint32(prefix >> above)]
    digits = (bits >> np.uint32(shift)) & np.uint32((1 << width) - 1)
    return np.bincount(digits.astype(np.int64), minlength=1 << width)


def _end_of_ties(blocks: Iterable[Float], bits: int, wanted: int) -> int:
    """Flat index after the `wanted`-th entry whose magnitude equals `bits`."""
    offset = 0
    for block in blocks:
        ties = np.flatnonzero(_bits(block) == np.uint32(bits))
        if wanted <= len(ties):
            return offset + int(ties[wanted - 1]) + 1
        wanted -= len(ties)
        offset += block.size
    raise AssertionError("the blocks changed between passes")
