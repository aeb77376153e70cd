"""Blocks of rows: how tensors are cut into them to be read, merged and written, and kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from mergesearch._kernels.stored import Float
from mergesearch._system.spare import Spare

BLOCK_ELEMENTS = 1 << 18
"""Number of elements of a block, about."""
AHEAD = 64
"""Number of blocks before its turn that a block is asked for from the disk."""


def rows_per_block(cols: int, together: int = 1) -> int:
    """Return how many rows make a block: about `BLOCK_ELEMENTS`, a multiple of `together`."""
    return max(1, BLOCK_ELEMENTS // (cols * together)) * together


def row_blocks(start: int, stop: int, cols: int, together: int = 1) -> Iterator[tuple[int, int]]:
    """Cut rows into blocks: yields the first row of each, and one after the last."""
    step = rows_per_block(cols, together)
    for first in range(start, stop, step):
        yield first, min(first + step, stop)


class KeptRows:
    """Computes blocks of rows when they are first read, and keeps them where there is room.

    Args:
        compute: Function that computes rows, from the first to before the last.
        shape: Number of rows and of columns of the tensor.
        step: Number of rows of a block; rows that are cut otherwise are kept once their blocks are.
        spare: Room for the rows; where it has none they are computed each time.
    """

    def __init__(
        self,
        compute: Callable[[int, int], Float],
        shape: tuple[int, int],
        step: int,
        spare: Spare,
    ) -> None:
        self._compute = compute
        self._step = step
        self._rows = shape[0]
        self._kept = spare.array(shape, or_file=True)
        self._present = bytearray(-(-shape[0] // step))  # one byte a block: threads share it

    def rows(self, start: int, stop: int) -> Float:
        """Return rows, shape `(stop - start, cols)`."""
        blocks = slice(start // self._step, -(-stop // self._step))
        if self._kept is None:
            return self._compute(start, stop)
        if not all(self._present[blocks]):
            computed = self._compute(start, stop)
            if start % self._step == 0 and (stop % self._step == 0 or stop == self._rows):
                self._kept[start:stop] = computed
                self._present[blocks] = bytes([1]) * len(self._present[blocks])
            return computed
        return self._kept[start:stop]
