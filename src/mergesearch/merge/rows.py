"""How tensors are cut into blocks of rows: the unit of reading, merging and writing."""

from __future__ import annotations

BLOCK_ELEMENTS = 1 << 18
"""Number of elements of a block, about."""
AHEAD = 64
"""Number of blocks before its turn that a block is asked for from the disk."""


def rows_per_block(cols: int, together: int = 1) -> int:
    """Return how many rows make a block: about `BLOCK_ELEMENTS`, a multiple of `together`."""
    return max(1, BLOCK_ELEMENTS // (cols * together)) * together
