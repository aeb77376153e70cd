"""Greedy generation and log-likelihoods of many requests at once: the only user of llama_cpp.

The unit of work is a chunk of requests. A chunk starts from an empty KV cache, and what it returns
depends on its requests and the runtime settings alone. So chunks may be decoded side by side: a
small model, whose matrices do not keep several threads busy, is decoded by several workers of one
thread each, a large one by a single worker of many threads.
"""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import Any

import llama_cpp as llama
import numpy as np
import numpy.typing as npt

from mergesearch.errors import ScoringError
from mergesearch.machine import available_cores
from mergesearch.objective import Runtime
from mergesearch.scoring.batch import Batch
from mergesearch.scoring.chunks import Group, Tokens, group_pairs, pack_groups
from mergesearch.scoring.requests import Job
from mergesearch.scoring.sequences import (
    Answer,
    Generated,
    GenRequest,
    Likelihood,
    PackPlan,
    pick,
)

Pair = tuple[Tokens, Tokens]

_KV_TYPES = {
    "f16": llama.GGML_TYPE_F16,
    "f32": llama.GGML_TYPE_F32,
    "q8_0": llama.GGML_TYPE_Q8_0,
}
_SMALL_MODEL_BYTES = 1 << 28  # up to here one thread per worker decodes faster
_LIKELIHOOD_SEQUENCES = 64  # of one pack; llama.cpp allows 256
_LIKELIHOOD_CELLS = 256  # of one pack: a token attends over all of them, so more is slower
_LOGITS_BYTES = 1 << 26  # of one decode's output; bounds memory where the vocabulary is large
_CELLS = 256  # llama.cpp rounds the cells of a sequence up to this
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


class Engine:
    """A GGUF loaded by llama.cpp; a context manager.

    Attributes:
        n_ctx: tokens a sequence may have, the model's own limit included.
        n_vocab: columns of the logits.
        load_seconds: that loading took.
        llama_seconds: time spent inside llama.cpp so far, summed over workers.

    Raises:
        ScoringError: llama.cpp cannot load the file, or cannot make a context.
    """

    def __init__(self, path: Path | str, runtime: Runtime) -> None:
        self.runtime = runtime
        self._workers: list[_Worker] = []
        self._pieces: dict[tuple[int, bool], bytes] = {}
        llama.llama_backend_init()
        parameters = llama.llama_model_default_params()
        parameters.n_gpu_layers = runtime.n_gpu_layers
        start = time.perf_counter()
        self._model = llama.llama_model_load_from_file(os.fsencode(path), parameters)
        self.load_seconds = time.perf_counter() - start
        if not self._model:
            raise ScoringError(
                "llama.cpp cannot load this GGUF",
                where=str(path),
                expected="a whole file, of an architecture that this llama.cpp knows",
            )
        self._vocab = llama.llama_model_get_vocab(self._model)
        self.n_vocab = int(llama.llama_vocab_n_tokens(self._vocab))
        self.n_ctx = min(runtime.n_ctx, int(llama.llama_model_n_ctx_train(self._model)))
        size = int(llama.llama_model_size(self._model))
        threads = runtime.threads or available_cores()
        alone = size > _SMALL_MODEL_BYTES or runtime.n_gpu_layers > 0
        for _ in range(1 if alone else threads):
            self._workers.append(_Worker(self, self._model, threads if alone else 1))

    # -- life ------------------------------------------------------------------------------------

    @property
    def llama_seconds(self) -> float:
        """Time spent inside llama.cpp so far, loading included, summed over workers."""
        return self.load_seconds + sum(one.seconds for one in self._workers)

    def close(self) -> None:
        """Free the contexts and the model; calling it again does nothing."""
        for worker in self._workers:
            worker.close()
        if self._model:
            llama.llama_model_free(self._model)
            self._model = None

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # -- vocabulary ------------------------------------------------------------------------------

    @property
    def bos(self) -> int | None:
        """Token that begins a text, None where the file names none."""
        return self._special("tokenizer.ggml.bos_token_id")

    @property
    def eos(self) -> int | None:
        """Token that ends a text, None where the file names none."""
        return self._special("tokenizer.ggml.eos_token_id")

    def _special(self, key: str) -> int | None:
        # llama.cpp falls back to some token of its own where the file names none: ask the file.
        buffer = ctypes.create_string_buffer(32)
        count = llama.llama_model_meta_val_str(self._model, key.encode(), buffer, 32)
        return None if count < 0 else int(buffer.value)

    @property
    def adds_bos(self) -> bool:
        """Whether the vocabulary asks for a leading beginning-of-text token."""
        return self.bos is not None and bool(llama.llama_vocab_get_add_bos(self._vocab))

    @property
    def chat_template(self) -> str | None:
        """The chat template (Jinja) in the GGUF's metadata."""
        text = llama.llama_model_chat_template(self._model, None)
        return None if text is None else text.decode()

    def tokenize(self, text: str, *, add_special: bool = True) -> Tokens:
        """Return the tokens of a text; the name of a special token becomes that token.

        With `add_special`, a beginning-of-text token is put first where the vocabulary asks for it
        and the text does not bring its own.
        """
        raw = text.encode()
        bos = self.bos
        if add_special and self.adds_bos and bos is not None:
            add_special = not raw.startswith(self.piece(bos, special=True))
        size = len(raw) + 2
        buffer = (llama.llama_token * size)()
        count = llama.llama_tokenize(
            self._vocab, raw, len(raw), buffer, size, add_special and self.adds_bos, True
        )
        if count < 0:
            raise ScoringError(f"llama.cpp cannot tokenize a text of {len(raw)} bytes")
        return tuple(buffer[:count])

    def piece(self, token: int, *, special: bool = False) -> bytes:
        """Return the bytes a token stands for; none for a special token without `special`."""
        key = token, special
        if key not in self._pieces:
            size = 64
            buffer = (ctypes.c_char * size)()
            count = llama.llama_token_to_piece(self._vocab, token, buffer, size, 0, special)
            if count < 0:
                size = -count
                buffer = (ctypes.c_char * size)()
                count = llama.llama_token_to_piece(self._vocab, token, buffer, size, 0, special)
            self._pieces[key] = bytes(buffer.raw[:count])
        return self._pieces[key]

    def ends(self, token: int) -> bool:
        """Say whether a token ends generation (end of text, of turn...)."""
        return bool(llama.llama_vocab_is_eog(self._vocab, token))

    # -- chunks ----------------------------------------------------------------------------------

    def generate(self, requests: Sequence[GenRequest]) -> list[Generated]:
        """Continue the prompts of one chunk greedily; equal logits: the lowest token id wins."""
        return self._workers[0].generate(requests)

    def loglikelihood(self, pairs: Sequence[Pair]) -> list[Likelihood]:
        """Return the log-likelihood of each (context, continuation) of one chunk.

        Requests with the same context read it once. Each pair fits in the context
        (chunks.fit_pair).
        """
        return self._workers[0].loglikelihood(pairs)

    def run(self, jobs: Sequence[Job], on_done: Callable[[int, list[Any], float], None]) -> None:
        """Run chunks, side by side where there are several workers.

        Args:
            jobs: the chunks.
            on_done: told each chunk's index, results and seconds as it is done, in any order, in
                the calling thread.
        """
        free: SimpleQueue[_Worker] = SimpleQueue()
        for worker in self._workers[: len(jobs)]:
            free.put(worker)

        def work(job: Job) -> tuple[list[Any], float]:
            worker = free.get()
            start = time.perf_counter()
            try:
                return worker.run(job), time.perf_counter() - start
            finally:
                free.put(worker)

        with ThreadPoolExecutor(max(1, free.qsize())) as pool:
            futures = {pool.submit(work, job): index for index, job in enumerate(jobs)}
            try:
                for future in as_completed(futures):
                    on_done(futures[future], *future.result())
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise


class _Worker:
    """Two llama.cpp contexts of one model, each made when it is first needed.

    Generation gives every sequence a KV stream of its own, so that a token attends over its own
    sequence's cells only. Log-likelihoods use one unified cache, where the tokens of a common
    prefix carry the ids of all sequences that share it.
    """

    def __init__(self, engine: Engine, model: Any, threads: int) -> None:
        self.seconds = 0.0
        self._engine = engine
        self._model = model
        self._threads = threads
        self._contexts: dict[bool, _Context] = {}
        self._rows = max(1, _LOGITS_BYTES // (4 * engine.n_vocab))

    def run(self, job: Job) -> list[Any]:
        return [*(self.generate if job.generates else self.loglikelihood)(job.requests)]

    def close(self) -> None:
        for context in self._contexts.values():
            context.close()
        self._contexts.clear()

    def _context(self, unified: bool, cells: int, sequences: int) -> _Context:
        """Return an empty context; made again, larger, where the one at hand is too small.

        Its size does not change results: llama.cpp attends over the cells in use, rounded up.
        """
        cells = -(-cells // _CELLS) * _CELLS
        have = self._contexts.get(unified)
        if have is None or have.cells < cells:
            start = time.perf_counter()
            if have is not None:
                have.close()
            have = _Context(self._engine, self._model, unified, cells, sequences, self._threads)
            self._contexts[unified] = have
            self.seconds += time.perf_counter() - start
        have.clear()
        return have

    def _decode(self, context: _Context) -> npt.NDArray[np.float32]:
        start = time.perf_counter()
        logits = context.decode()
        self.seconds += time.perf_counter() - start
        return logits

    # -- generation ------------------------------------------------------------------------------

    def generate(self, requests: Sequence[GenRequest]) -> list[Generated]:
        """Longest prompts start first; a finished sequence's place is taken by the next prompt."""
        if not requests:
            return []
        places = self._engine.runtime.n_parallel
        cells = max(len(one.tokens) + one.max_tokens for one in requests)
        context = self._context(False, cells, places)
        waiting = sorted(range(len(requests)), key=lambda i: (len(requests[i].tokens), -i))
        free = list(range(places))[::-1]
        active: dict[int, Answer] = {}
        done: dict[int, Generated] = {}
        while waiting or active:
            while waiting and free:
                index = waiting.pop()
                active[free.pop()] = Answer(index, requests[index], self._engine)
            for slot in self._step(context, active):
                answer = active.pop(slot)
                done[answer.index] = answer.result()
                context.forget(slot)
                free.append(slot)
        return [done[index] for index in range(len(requests))]

    def _step(self, context: _Context, active: Mapping[int, Answer]) -> list[int]:
        """Give every active sequence one more token; returns the slots that are done."""
        finished: list[int] = []
        members: list[int] = []
        for slot in sorted(active):
            reading = active[slot].unread()
            if members and context.batch.size + len(reading) > context.n_batch:
                finished += self._advance(context, active, members)
                members = []
            while len(reading) > context.n_batch:
                context.batch.add(reading[: context.n_batch], active[slot].n_read, slot, False)
                self._decode(context)
                active[slot].n_read += context.n_batch
                reading = reading[context.n_batch :]
            context.batch.add(reading, active[slot].n_read, slot, True)
            active[slot].n_read += len(reading)
            members.append(slot)
        return finished + self._advance(context, active, members)

    def _advance(
        self, context: _Context, active: Mapping[int, Answer], members: Sequence[int]
    ) -> list[int]:
        chosen = self._decode(context).argmax(axis=1).tolist()
        return [
            slot for slot, token in zip(members, chosen, strict=True) if active[slot].take(token)
        ]

    # -- log-likelihoods -------------------------------------------------------------------------

    def loglikelihood(self, pairs: Sequence[Pair]) -> list[Likelihood]:
        """Score packs of groups, each pack in an empty cache."""
        if not pairs:
            return []
        longest = max(len(one) + len(other) - 1 for one, other in pairs)
        cells = max(_LIKELIHOOD_CELLS, longest)
        groups = group_pairs(pairs, _LIKELIHOOD_SEQUENCES, cells)
        results: dict[int, Likelihood] = {}
        for pack in pack_groups(groups, _LIKELIHOOD_SEQUENCES, cells):
            results.update(self._score_pack(pack, cells))
        return [results[index] for index in range(len(pairs))]

    def _score_pack(self, pack: Sequence[Group], cells: int) -> dict[int, Likelihood]:
        context = self._context(True, cells, _LIKELIHOOD_SEQUENCES)
        plan = PackPlan(pack)
        logprobs = np.empty(len(plan.want_at), np.float64)
        greedy = np.empty(len(plan.want_at), bool)
        for part, first_row in plan.parts(context.n_batch, self._rows):
            context.batch.add_arrays(
                plan.tokens[part],
                plan.positions[part],
                plan.first_seq[part],
                plan.n_seq[part],
                plan.wanted[part],
            )
            logits = self._decode(context)
            mine = np.flatnonzero((plan.want_at >= part.start) & (plan.want_at < part.stop))
            rows = plan.rows[mine] - first_row
            logprobs[mine], greedy[mine] = pick(logits, rows, plan.want_token[mine])
        return {
            request: Likelihood(float(logprobs[begin:end].sum()), bool(greedy[begin:end].all()))
            for request, begin, end in plan.spans
        }


class _Context:
    """A llama.cpp context and the batch that feeds it."""

    def __init__(
        self, engine: Engine, model: Any, unified: bool, cells: int, sequences: int, threads: int
    ) -> None:
        runtime = engine.runtime
        parameters = llama.llama_context_default_params()
        parameters.n_ctx = cells if unified else cells * sequences
        parameters.n_batch = min(runtime.n_batch, parameters.n_ctx)
        parameters.n_ubatch = min(512, parameters.n_batch)
        parameters.n_seq_max = sequences
        parameters.n_threads = parameters.n_threads_batch = threads
        parameters.flash_attn_type = int(runtime.flash_attention)
        parameters.type_k = parameters.type_v = _KV_TYPES[runtime.kv_type]
        parameters.kv_unified = unified
        parameters.no_perf = True
        self._context = llama.llama_init_from_model(model, parameters)
        if not self._context:
            raise ScoringError(
                f"llama.cpp cannot make a context for {sequences} sequences of {cells} tokens",
                fix="lower runtime.n_parallel or runtime.n_ctx; llama.cpp's reason is in the log",
            )
        self._memory = llama.llama_get_memory(self._context)
        self._n_vocab = engine.n_vocab
        self.cells = cells
        self.n_batch = int(llama.llama_n_batch(self._context))
        self.batch = Batch(self.n_batch, sequences)

    def close(self) -> None:
        if self._context:
            llama.llama_free(self._context)
            self._context = None

    def clear(self) -> None:
        self.batch.clear()
        llama.llama_memory_clear(self._memory, False)

    def forget(self, seq: int) -> None:
        llama.llama_memory_seq_rm(self._memory, seq, -1, -1)

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
