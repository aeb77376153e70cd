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
        together: rows of one head, whose halves are interleaved; 1 where the order stays.
        added: added to every value.
    """

    together: int = 1
    added: float = 0.0

    def to_gguf(self, block: Rows) -> Rows:
        """Return rows as they are stored.

        The first half of a head's rows goes to its even rows, the second half to its odd ones
        (`conversion/llama.py`, `LlamaModel.permute`).

        Args:
            block: shape `(k * together, cols)`, or `(1, k * together)` for a vector; bytes of
                quantized rows too where nothing is added.
        """
        moved = _by_heads(block, (2, self.together // 2)) if self.together > 1 else block
        return moved + np.float32(self.added) if self.added else moved

    def from_gguf(self, block: Rows) -> Rows:
        """Return stored rows as Hugging Face has them: undoes `to_gguf`."""
        taken = block - np.float32(self.added) if self.added else block
        return _by_heads(taken, (self.together // 2, 2)) if self.together > 1 else taken


def _by_heads(block: Rows, split: tuple[int, int]) -> Rows:
    """Swap the two indices that a row's place in its head is split into."""
    bias = block.shape[0] == 1
    rows = block.reshape(-1, 1) if bias else block
    heads = rows.reshape(-1, *split, rows.shape[1]).swapaxes(1, 2)
    return np.ascontiguousarray(heads.reshape(block.shape))


@dataclass(frozen=True)
class Part:
    """Rows `start:stop` of a Hugging Face tensor, as a part of a GGUF tensor.

    Attributes:
        name: the Hugging Face tensor.
        start: first row; in vectors the elements count as rows.
        stop: one after the last row.
        change: what is done to the rows.
        transposed: the whole tensor is stored with rows and columns exchanged.
    """

    name: str
    start: int
    stop: int
    change: RowChange = RowChange()
    transposed: bool = False


@dataclass(frozen=True)
class StoredTensor:
    """A tensor of the GGUF: its name, shape, and the parts whose rows follow each other in it.

    Shapes are `(cols,)`, `(rows, cols)` or `(experts, rows, cols)`.
    """

    name: str
    shape: tuple[int, ...]
    parts: tuple[Part, ...]

    @property
    def is_vector(self) -> bool:
        """Whether parts count elements instead of rows."""
        return len(self.shape) == 1

    @property
    def cols(self) -> int:
        """Elements of what parts count."""
        return 1 if self.is_vector else self.shape[-1]

    @property
    def rows(self) -> int:
        """How many of them there are."""
        return math.prod(self.shape) // self.cols
