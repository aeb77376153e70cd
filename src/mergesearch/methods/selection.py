"""Keeping only the entries of largest magnitude, exactly, without holding the whole tensor.

Non-negative float32 numbers order as their bits do, so the k-th largest magnitude is found by
counting: first the upper bits, then the lower ones of the entries that share those.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mergesearch._kernels import DIGIT_TABLES, Mask, kernels, mask_of
from mergesearch._kernels.stored import Stored
from mergesearch.methods.inputs import InputRows, InputTensor

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


Entries = Callable[[Callable[[int, Stored, Stored | None], Any]], Iterable[Any]]
"""A tensor's entries, or their differences from a base: what applies a function to the number of
every block, its stored values, and the base's where there is one. The results come in order."""


def entries_of(
    tensor: InputTensor, values: Callable[[int, InputRows], Stored], from_base: bool = False
) -> Entries:
    """Return the entries of what is made of a tensor's blocks.

    Args:
        values: Function that gives the values of a block by its number and its rows.
        from_base: Whether the entries are the differences from the base.
    """
    return lambda use: tensor.map(
        lambda number, rows: use(
            number, values(number, rows), rows.stored_base if from_base else None
        )
    )


def count_cuts(entries: Entries, size: int, counts: Sequence[int]) -> list[Cut]:
    """Return, for each of `counts`, the cut that keeps so many entries of largest magnitude.

    Among equal magnitudes the earlier entry stays, as with a stable sort.

    Args:
        counts: Numbers of entries to keep, 0 to `size`.
    """
    inside = [count for count in counts if 0 < count < size]
    smallest = dict(zip(inside, _smallest_kept(entries, size, inside), strict=True))
    tied = [kept for kept in smallest.values() if kept.wanted < kept.equal]
    ends = dict(zip(tied, _ends_of_ties(entries, tied), strict=True))

    def cut(count: int) -> Cut:
        if not 0 < count < size:
            return ALL if count > 0 else NONE
        kept = smallest[count]
        return Cut(kept.bits, ends.get(kept, ALL.ties_end))

    return [cut(count) for count in counts]


def ranked(entries: Entries, size: int, ranks: Sequence[int]) -> list[np.float32]:
    """Return the magnitudes that would stand at `ranks` were all of a tensor's sorted upwards.

    Args:
        ranks: Ranks, 0 for the smallest.
    """
    found = _smallest_kept(entries, size, [size - rank for rank in ranks])
    return list(np.array([kept.bits for kept in found], dtype=np.uint32).view(np.float32))


def mask_of_cut(cut: Cut, offset: int, values: Stored, base: Stored | None = None) -> Mask:
    """Return which entries of a block stay.

    Args:
        cut: Cut of the whole tensor.
        offset: Flat index of the block's first entry.
        values: Stored values of the block.
        base: Stored values of the base where the entries are differences from it.
    """
    mask = mask_of(values.size)
    kernels().cut_mask(values, base, offset, cut.bits, cut.ties_end, mask)
    return mask


class _Kept(NamedTuple):
    """The smallest magnitude that stays where some of the largest do.

    Attributes:
        bits: Bits of the magnitude, as float32.
        wanted: Number of entries of that magnitude that stay.
        equal: Number of entries of that magnitude.
    """

    bits: int
    wanted: int
    equal: int


def _smallest_kept(entries: Entries, size: int, counts: Sequence[int]) -> list[_Kept]:
    """Find the smallest of so many largest magnitudes, for each of `counts` of 1 to `size`."""
    found = [_Kept(0, count, size) for count in counts]
    for shift, width in _WIDE if size >= _LARGE else _NARROW:
        digits = _digit_counts(entries, {kept.bits for kept in found}, shift, width)
        found = [_with_digit(kept, digits[kept.bits], shift) for kept in found]
    return found


def _with_digit(kept: _Kept, counts: npt.NDArray[np.int64], shift: int) -> _Kept:
    """Add a digit, given how often each stands in the entries that agree above it."""
    from_top = np.cumsum(counts[::-1])
    place = int(np.searchsorted(from_top, kept.wanted))
    digit = len(counts) - 1 - place
    equal = int(counts[digit])
    return _Kept(kept.bits | digit << shift, kept.wanted - int(from_top[place]) + equal, equal)


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

    if prefixes:
        deque(entries(count), maxlen=0)
    counts = {prefix: np.zeros(1 << width, dtype=np.int64) for prefix in prefixes}
    for (prefix, _), own in tables.items():
        counts[prefix] += own.sum(axis=0, dtype=np.int64)
    return counts


def _ends_of_ties(entries: Entries, tied: Sequence[_Kept]) -> list[int]:
    """Flat index, for each, after the last entry of its magnitude that stays."""
    if not tied:
        return []

    def count(index: int, values: Stored, base: Stored | None) -> list[int]:
        missing = values.size + 1
        equal = [-1 - kernels().find_equal(values, base, kept.bits, missing) for kept in tied]
        return [values.size, *equal]

    sizes, *equals = np.array(list(entries(count)), dtype=np.int64).T
    blocks = [
        int(np.searchsorted(np.cumsum(equal), kept.wanted))
        for kept, equal in zip(tied, equals, strict=True)
    ]

    def find(index: int, values: Stored, base: Stored | None) -> list[int]:
        return [
            kernels().find_equal(values, base, kept.bits, kept.wanted - int(equal[:block].sum()))
            if index == block
            else -1
            for kept, equal, block in zip(tied, equals, blocks, strict=True)
        ]

    places = np.array(list(entries(find)), dtype=np.int64).max(axis=0)
    return [
        int(sizes[:block].sum() + place) + 1 for block, place in zip(blocks, places, strict=True)
    ]
