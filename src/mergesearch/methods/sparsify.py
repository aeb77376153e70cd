"""Keeping only the entries of largest magnitude, exactly, without holding the whole tensor.

Non-negative float32 numbers order as their bits do, so the k-th largest magnitude is found by
counting: first the upper bits, then the lower ones of the entries that share those.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mergesearch._kernels import DIGIT_TABLES, kernels
from mergesearch._kernels.stored import Stored

Float = npt.NDArray[np.float32]
# (shift, width) of each counting pass, 31 bits in all. Wide digits save a pass, but small tensors
# have fewer entries than such a digit has values.
_WIDE = ((15, 16), (0, 15))
_NARROW = ((20, 11), (10, 10), (0, 10))
_LARGE = 1 << 21


@dataclass(frozen=True)
class Cut:
    """Which entries of a tensor stay: those above `bits`, and of those equal the first ones.

    Attributes:
        bits: Bits of the smallest magnitude that stays, as float32.
        ties_end: Flat index in the tensor before which entries equal to `bits` stay.
    """

    bits: int
    ties_end: int


ALL = Cut(0, 2**63 - 1)
NONE = Cut(2**32 - 1, 0)


Use = Callable[[int, Stored, Stored | None], Any]


@dataclass(frozen=True)
class Entries:
    """A tensor's entries, or their differences from a base, in consecutive blocks.

    Attributes:
        each: Function that applies another to every block: its number, its stored values, and the
            base's where there is one; the results come in order.
    """

    each: Callable[[Use], Iterable[Any]]

    @staticmethod
    def of(blocks: Callable[[], Iterable[Float]]) -> Entries:
        """Return the entries of float32 blocks, which are computed anew each time."""
        return Entries(
            lambda use: (
                use(index, np.ascontiguousarray(block), None)
                for index, block in enumerate(blocks())
            )
        )


def magnitude_cut(entries: Entries, size: int, density: float) -> Cut:
    """Return the cut that keeps `max(1, int(density * size))` entries of largest magnitude.

    Among equal magnitudes the earlier entry stays, as with a stable sort
    (mergekit `sparsify.py`, `magnitude`).

    Args:
        entries: Entries of the tensor.
        size: Number of entries.
        density: Share of entries to keep; 1 or more keeps all, 0 or less none.
    """
    if density >= 1.0:
        return ALL
    if density <= 0.0 or size == 0:
        return NONE
    return count_cut(entries, size, max(1, int(density * size)))


def count_cut(entries: Entries, size: int, wanted: int) -> Cut:
    """Return the cut that keeps the `wanted` entries of largest magnitude.

    Args:
        entries: Entries of the tensor.
        size: Number of entries.
        wanted: Number of entries to keep, 0 to `size`.
    """
    if wanted >= size:
        return ALL
    if wanted <= 0:
        return NONE
    bits, equal = 0, size
    for shift, width in _WIDE if size >= _LARGE else _NARROW:
        counts = _digit_counts(entries, {bits}, shift, width)[bits]
        from_top = np.cumsum(counts[::-1])
        place = int(np.searchsorted(from_top, wanted))
        digit = len(counts) - 1 - place
        equal = int(counts[digit])
        wanted -= int(from_top[place]) - equal
        bits |= digit << shift
    if wanted == equal:
        return Cut(bits, ALL.ties_end)
    return Cut(bits, _end_of_ties(entries, bits, wanted))


def ranked(entries: Entries, ranks: Sequence[int]) -> list[np.float32]:
    """Return the magnitudes that would stand at `ranks` were all of a tensor's sorted upwards.

    Args:
        entries: Entries of the tensor.
        ranks: Ranks, 0 for the smallest.
    """
    found, below = [0] * len(ranks), list(ranks)
    for shift, width in _NARROW:
        counts = _digit_counts(entries, set(found), shift, width)
        for index, bits in enumerate(found):
            up_to = np.cumsum(counts[bits])
            digit = int(np.searchsorted(up_to, below[index], side="right"))
            below[index] -= int(up_to[digit] - counts[bits][digit])
            found[index] = bits | digit << shift
    return list(np.array(found, dtype=np.uint32).view(np.float32))


def apply_cut(block: Float, cut: Cut, offset: int) -> Float:
    """Return a block with the entries that `cut` drops multiplied by zero.

    Args:
        block: Consecutive entries of the tensor, any shape.
        cut: Cut of the whole tensor.
        offset: Flat index of the block's first entry.
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
    entries: Entries, prefixes: Collection[int], shift: int, width: int
) -> dict[int, npt.NDArray[np.int64]]:
    """By prefix, how often each digit stands at `shift` in entries that agree with it above."""
    tables: dict[tuple[int, int], npt.NDArray[np.uint32]] = {}  # by prefix and thread

    def count(index: int, values: Stored, base: Stored | None) -> None:
        for prefix in prefixes:
            own = tables.get((prefix, threading.get_ident()))
            if own is None:
                own = np.zeros((DIGIT_TABLES, 1 << width), dtype=np.uint32)
                tables[prefix, threading.get_ident()] = own
            kernels().count_digits(values, base, prefix, shift, own)

    deque(entries.each(count), maxlen=0)
    counts = {prefix: np.zeros(1 << width, dtype=np.int64) for prefix in prefixes}
    for (prefix, _), own in tables.items():
        counts[prefix] += own.sum(axis=0, dtype=np.int64)
    return counts


def _end_of_ties(entries: Entries, bits: int, wanted: int) -> int:
    """Flat index after the `wanted`-th entry whose magnitude equals `bits`."""

    def count(index: int, values: Stored, base: Stored | None) -> tuple[int, int]:
        return values.size, -1 - kernels().find_equal(values, base, bits, values.size + 1)

    sizes, equal = np.array(list(entries.each(count)), dtype=np.int64).T
    block = int(np.searchsorted(np.cumsum(equal), wanted))
    within = wanted - int(equal[:block].sum())

    def find(index: int, values: Stored, base: Stored | None) -> int:
        return kernels().find_equal(values, base, bits, within) if index == block else -1

    return int(sizes[:block].sum()) + max(entries.each(find)) + 1
