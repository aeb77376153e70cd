"""llama.cpp's own objects: a context with the batch that feeds it, and its messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import llama_cpp as llama
import numpy as np
import numpy.typing as npt

from mergesearch.errors import ScoringError
from mergesearch.objectives import Runtime
from mergesearch.scoring.batch import Batch
from mergesearch.scoring.memory import UBATCH

_WARNING_LEVELS = (3, 4)
_ALL_LEVELS = range(6)
_log_callbacks: list[Any] = []  # llama.cpp keeps only the address


def log_to(write: Callable[[str], None] | None, *, verbose: bool = False) -> None:
    """Send llama.cpp's own messages of this process to `write`; None: nowhere.

    Without `verbose` only warnings and errors are passed on.
    """
    wanted = _ALL_LEVELS if verbose else _WARNING_LEVELS

    @llama.llama_log_callback  # type: ignore[untyped-decorator]
    def callback(level: int, text: bytes, _data: Any) -> None:
        if write is not None and level in wanted:
            write(text.decode(errors="replace"))

    _log_callbacks[:] = [callback]
    llama.llama_log_set(callback, None)


def logs() -> bool:
    """Whether someone has said where llama.cpp's messages go."""
    return bool(_log_callbacks)


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
