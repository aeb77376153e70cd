"""The arrays of a `llama_batch`, filled through NumPy instead of element by element."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt


class Batch:
    """Tokens for one call of `llama_decode` (include/llama.h, `llama_batch`).

    The ids of a token's sequences are consecutive, so they are a slice of one array of all ids,
    and the pointer to them is an address inside that array.

    Attributes:
        size: Number of tokens in the batch.
        rows: Number of tokens whose logits are asked for.
    """

    def __init__(self, capacity: int, sequences: int) -> None:
        self.size = 0
        self.rows = 0
        self._ids = np.arange(sequences, dtype=np.int32)
        self._token = np.zeros(capacity, np.int32)
        self._position = np.zeros(capacity, np.int32)
        self._n_ids = np.zeros(capacity, np.int32)
        self._id_address = np.zeros(capacity, np.uintp)
        self._wanted = np.zeros(capacity, np.int8)
        self._struct: Any = None

    def clear(self) -> None:
        """Empty the batch."""
        self.size = 0
        self.rows = 0

    def add(self, tokens: Sequence[int], start: int, seq: int, last: bool) -> None:
        """Add tokens of one sequence from position `start`, asking for the `last` one's logits."""
        begin, end = self.size, self.size + len(tokens)
        self._token[begin:end] = tokens
        self._position[begin:end] = range(start, start + len(tokens))
        self._n_ids[begin:end] = 1
        self._id_address[begin:end] = self._ids.ctypes.data + 4 * seq
        self._wanted[begin:end] = 0
        self._wanted[end - 1] = last
        self.size = end
        self.rows += last

    def add_arrays(
        self,
        tokens: npt.NDArray[np.int32],
        positions: npt.NDArray[np.int32],
        first_seq: npt.NDArray[np.int32],
        n_seq: npt.NDArray[np.int32],
        wanted: npt.NDArray[np.int8],
    ) -> None:
        """Add tokens that belong to sequences `first_seq` to `first_seq + n_seq - 1` each."""
        part = slice(self.size, self.size + len(tokens))
        self._token[part] = tokens
        self._position[part] = positions
        self._n_ids[part] = n_seq
        self._id_address[part] = self._ids.ctypes.data + 4 * first_seq.astype(np.uintp)
        self._wanted[part] = wanted
        self.size += len(tokens)
        self.rows += int(wanted.sum())

    def struct(self, kind: type[Any]) -> Any:
        """Return the batch as the ctypes structure `kind`, whose memory this object owns."""
        if self._struct is None:
            arrays: dict[str, npt.NDArray[Any]] = {
                "token": self._token,
                "pos": self._position,
                "n_seq_id": self._n_ids,
                "seq_id": self._id_address,
                "logits": self._wanted,
            }
            types = dict(kind._fields_)
            self._struct = kind()
            for name, array in arrays.items():
                setattr(self._struct, name, ctypes.cast(array.ctypes.data, types[name]))
        self._struct.n_tokens = self.size
        return self._struct
