"""A parent in the vocabulary of the result; nothing as large as an embedding is held."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from mergesearch._kernels.stored import Float, Stored
from mergesearch.gguf import EMBEDDING, HEAD
from mergesearch.parents import Checkpoint, TensorInfo
from mergesearch.vocabulary import Tokenizer

RowNumbers: TypeAlias = npt.NDArray[np.int64]

ABSENT = -1
"""The number of a row that a parent does not have."""

_MEAN_ROWS = 4096  # rows that are summed together


@dataclass(frozen=True, eq=False)
class RowSources:
    """Where each row of the result's vocabulary comes from, for one parent.

    Attributes:
        own_rows: The parent's own row for each row of the result, `ABSENT` where donors give it.
        donor_rows: The row that each donor adds there, `ABSENT` for none; the donors are parents,
            by their places.
        donor_counts: Number that the sum of the donors' rows is divided by.
        n_tokens: Number of rows with tokens; each row after them is their mean.
    """

    own_rows: RowNumbers
    donor_rows: Mapping[int, RowNumbers]
    donor_counts: Float
    n_tokens: int

    @property
    def rows(self) -> int:
        """Number of rows of the result."""
        return len(self.own_rows)

    def keeps(self, rows: int) -> bool:
        """Whether it leaves a parent with that many rows as it is."""
        return self.rows == rows and bool((self.own_rows == np.arange(rows)).all())


class AlignedParent(Checkpoint):
    """A parent whose embedding and head follow the tokens of the result; see `Checkpoint`.

    Args:
        members: All parents of the merge, the donors among them.
        tied: Whether the result's head is its embedding.
    """

    def __init__(
        self,
        parent: Checkpoint,
        members: Sequence[Checkpoint],
        sources: RowSources,
        tied: bool,
        tokenizer: Tokenizer | None,
    ) -> None:
        self.ref = parent.ref
        self.notes = parent.notes
        self.tokenizer = tokenizer
        self.config: dict[str, Any] = parent.config | {
            "vocab_size": sources.rows,
            "tie_word_embeddings": tied,
        }
        self.layout = parent.layout.with_vocabulary(sources.rows, tied)
        shape = (sources.rows, parent.layout.hidden)
        names = [EMBEDDING] if tied else [EMBEDDING, HEAD]
        self.tensors: Mapping[str, TensorInfo] = {
            **parent.tensors,
            **{
                name: TensorInfo(shape, parent.tensors[_stored(parent, name)].dtype)
                for name in names
            },
        }
        self._parent = parent
        self._members = members
        self._sources = sources
        self._means: dict[str, Float] = {}
        self._lock = threading.Lock()

    def stored(self, name: str, start: int, stop: int) -> Stored:
        """Return rows; as the parent stores them where no vocabulary orders them."""
        if name not in (EMBEDDING, HEAD):
            return self._parent.stored(name, start, stop)
        n_tokens = self._sources.n_tokens
        if stop <= n_tokens:
            return self._gathered(name, start, stop)
        filling = np.repeat(self._mean(name), stop - max(start, n_tokens), axis=0)
        return np.concatenate([self._gathered(name, min(start, n_tokens), n_tokens), filling])

    def read_ahead(self, name: str, start: int, stop: int) -> None:
        """Let the system read from the disk the rows that are at the same places."""
        if name not in (EMBEDDING, HEAD):
            self._parent.read_ahead(name, start, stop)

    def _gathered(self, name: str, start: int, stop: int) -> Float:
        own_rows = self._sources.own_rows[start:stop]
        gathered = _gather(self._parent, name, own_rows)
        lacking = np.flatnonzero(own_rows == ABSENT)
        if lacking.size:
            total = np.zeros((lacking.size, gathered.shape[1]), np.float32)
            for place, rows in self._sources.donor_rows.items():
                total += _gather(self._members[place], name, rows[start:stop][lacking])
            gathered[lacking] = total / self._sources.donor_counts[start:stop][lacking, None]
        return gathered

    def _mean(self, name: str) -> Float:
        """The mean of all rows with tokens, shape `(1, cols)`, summed over fixed blocks."""
        with self._lock:
            if name not in self._means:
                n_tokens = self._sources.n_tokens
                total = np.zeros(self.layout.hidden, np.float64)
                for start in range(0, n_tokens, _MEAN_ROWS):
                    block = self._gathered(name, start, min(start + _MEAN_ROWS, n_tokens))
                    total += block.sum(axis=0, dtype=np.float64)
                self._means[name] = (total / n_tokens).astype(np.float32)[None]
            return self._means[name]


def _stored(parent: Checkpoint, name: str) -> str:
    """The tensor that has the rows of `name`; a tied head is the embedding."""
    return name if name in parent.tensors else EMBEDDING


def _gather(parent: Checkpoint, name: str, rows: RowNumbers) -> Float:
    """Rows of a parent in any order, zeros where they are `ABSENT`; runs are read together."""
    gathered = np.zeros((len(rows), parent.layout.hidden), np.float32)
    present = np.flatnonzero(rows != ABSENT)
    breaks = np.flatnonzero((np.diff(rows[present]) != 1) | (np.diff(present) != 1)) + 1
    for run in np.split(present, breaks):
        if run.size:
            first = int(rows[run[0]])
            gathered[run] = parent.rows(_stored(parent, name), first, first + run.size)
    return gathered
