"""How rows of Hugging Face tensors are stored in GGUF, and back."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[Any]


@dataclass(frozen=True)
class RowChange:
    """What the converter does to the rows of a tensor.

    Attributes:
        together: Number of rows of one head, whose halves are interleaved; 1 where rows stay in
            order.
        added: Number that is added to every value.
        grouped: Groups that the heads of a row's columns are in, and heads of a group; the first
            heads of all groups come first.
        decay: Whether a value x becomes -exp(x).
    """

    together: int = 1
    added: float = 0.0
    grouped: tuple[int, int] = (1, 1)
    decay: bool = False

    @property
    def of_values(self) -> bool:
        """Whether it changes values, or their order in a row: quantizing comes after it."""
        return bool(self.added) or self.decay or self.grouped != (1, 1)

    def to_gguf(self, block: Rows) -> Rows:
        """Return rows as they are stored.

        The first half of a head's rows goes to its even rows, the second half to its odd ones
        (`conversion/llama.py`, `LlamaModel.permute`).

        Args:
            block: Rows of shape `(k * together, cols)`, or `(1, k * together)` for a vector;
                bytes of quantized rows too where it is not `of_values`.
        """
        moved = _by_heads(block, (2, self.together // 2)) if self.together > 1 else block
        if self.decay:
            return -np.exp(moved)
        if self.grouped != (1, 1):
            return _by_columns(moved, self.grouped)
        return moved + np.float32(self.added) if self.added else moved

    def from_gguf(self, block: Rows) -> Rows:
        """Return stored rows as Hugging Face has them: undoes `to_gguf`."""
        if self.decay:
            return np.log(-block)
        if self.grouped != (1, 1):
            return _by_columns(block, self.grouped[::-1])
        taken = block - np.float32(self.added) if self.added else block
        return _by_heads(taken, (self.together // 2, 2)) if self.together > 1 else taken


def _by_heads(block: Rows, split: tuple[int, int]) -> Rows:
    """Swap the two indices that a row's place in its head is split into."""
    bias = block.shape[0] == 1
    rows = block.reshape(-1, 1) if bias else block
    heads = rows.reshape(-1, *split, rows.shape[1]).swapaxes(1, 2)
    return np.ascontiguousarray(heads.reshape(block.shape))


def _by_columns(block: Rows, split: tuple[int, int]) -> Rows:
    """Swap the two indices that a column's head is numbered by."""
    heads = block.reshape(block.shape[0], *split, -1).swapaxes(1, 2)
    return np.ascontiguousarray(heads.reshape(block.shape))


@dataclass(frozen=True)
class Segment:
    """Rows `start:stop` of a Hugging Face tensor that a GGUF tensor holds one after the other.

    Attributes:
        name: Hugging Face name of the tensor.
        start: First row; in vectors the elements count as rows.
        stop: Row after the last one.
        change: Change that the converter makes to the rows.
        transposed: Whether the whole tensor is stored with rows and columns exchanged.
    """

    name: str
    start: int
    stop: int
    change: RowChange = RowChange()
    transposed: bool = False


@dataclass(frozen=True)
class StoredTensor:
    """How a GGUF stores a tensor: as the rows of some segments.

    Attributes:
        name: GGUF name.
        shape: Shape `(cols,)`, `(rows, cols)` or `(experts, rows, cols)`.
        segments: Segments whose rows follow each other.
    """

    name: str
    shape: tuple[int, ...]
    segments: tuple[Segment, ...]

    @property
    def is_vector(self) -> bool:
        """Whether segments count elements instead of rows."""
        return len(self.shape) == 1

    @property
    def cols(self) -> int:
        """Number of elements of a row; the elements of a vector count as rows."""
        return 1 if self.is_vector else self.shape[-1]

    @property
    def rows(self) -> int:
        """Number of rows."""
        return math.prod(self.shape) // self.cols
