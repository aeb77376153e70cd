"""llama.cpp's own objects: a context with the batch that feeds it, and its messages."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import Any

import llama_cpp as llama
import numpy as np
import numpy.typing as npt

from mergesearch.errors import ScoringError
from mergesearch.objectives import Runtime
from mergesearch.scoring.memory import UBATCH

_WARNING_LEVELS = (3, 4)
_log_callbacks: list[Any] = []  # llama.cpp keeps only the address


def log_to(write: Callable[[str], None] | None) -> None:
    """Send llama.cpp's warnings and errors in this process to `write`; None: nowhere."""

    @llama.llama_log_callback  # type: ignore[untyped-decorator]
    def callback(level: int, text: bytes, _data: Any) -> None:
        if write is not None and level in _WARNING_LEVELS:
            write(text.decode(errors="replace"))

    _log_callbacks[:] = [callback]
    llama.llama_log_set(callback, None)


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


class Context:
    """A llama.cpp context and the batch that feeds it.

    Attributes:
        cells: Number of tokens of a sequence, or of all together where the cache is `unified`.
        n_batch: Number of tokens that the batch has room for.
        batch: Batch of the next decode.

    Raises:
        ScoringError: llama.cpp cannot make it.
    """

    def __init__(
        self,
        model: Any,
        runtime: Runtime,
        *,
        unified: bool,
        cells: int,
        sequences: int,
        threads: int,
    ) -> None:
        parameters = llama.llama_context_default_params()
        parameters.n_ctx = cells if unified else cells * sequences
        parameters.n_batch = min(runtime.n_batch, parameters.n_ctx)
        parameters.n_ubatch = min(UBATCH, parameters.n_batch)
        parameters.n_seq_max = sequences
        parameters.n_threads = parameters.n_threads_batch = threads
        parameters.flash_attn_type = int(runtime.flash_attention)
        kv_type = getattr(llama, f"GGML_TYPE_{runtime.kv_type.upper()}")
        parameters.type_k = parameters.type_v = kv_type
        parameters.kv_unified = unified
        parameters.no_perf = True
        self._context = llama.llama_init_from_model(model, parameters)
        if not self._context:
            raise ScoringError(
                f"llama.cpp cannot make a context for {sequences} sequences of {cells} tokens",
                fix="lower runtime.n_parallel or runtime.n_ctx; llama.cpp's reason is in the log",
            )
        self._memory = llama.llama_get_memory(self._context)
        self._n_vocab = int(llama.llama_vocab_n_tokens(llama.llama_model_get_vocab(model)))
        self.cells = cells
        self.n_batch = int(llama.llama_n_batch(self._context))
        self.batch = Batch(self.n_batch, sequences)

    def close(self) -> None:
        """Free it; calling it again does nothing."""
        if self._context:
            llama.llama_free(self._context)
            self._context = None

    def clear(self) -> None:
        """Empty the cache and the batch."""
        self.batch.clear()
        llama.llama_memory_clear(self._memory, False)

    def forget(self, seq: int) -> None:
        """Free the cells of a sequence."""
        llama.llama_memory_seq_rm(self._memory, seq, -1, -1)

    def copy(self, source: int, target: int) -> None:
        """Give an empty sequence the cells of another."""
        llama.llama_memory_seq_cp(self._memory, source, target, -1, -1)

    def decode(self) -> npt.NDArray[np.float32]:
        """Run the batch and empty it; returns the logits asked for, (rows, n_vocab)."""
        rows, size = self.batch.rows, self.batch.size
        code = llama.llama_decode(self._context, self.batch.struct(llama.llama_batch))
        self.batch.clear()
        if code != 0:
            raise ScoringError(f"llama_decode returned {code} for {size} tokens")
        if not rows:
            return np.empty((0, self._n_vocab), np.float32)
        pointer = llama.llama_get_logits(self._context)
        return np.ctypeslib.as_array(pointer, (rows, self._n_vocab))
