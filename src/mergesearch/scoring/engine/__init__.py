"""Generation and log-likelihoods of many requests at once, by llama.cpp.

The unit of work is a chunk of requests. A chunk starts from an empty KV cache, and what it returns
depends on its requests and the runtime settings alone. So chunks may be decoded side by side: a
small model, whose matrices do not keep several threads busy, is read by several decoders of one
thread each, a large one by a single decoder of many threads.
"""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import llama_cpp as llama

from mergesearch._system.closing import Closing
from mergesearch._system.machine import available_cores, available_memory
from mergesearch.errors import ScoringError
from mergesearch.objectives import Runtime
from mergesearch.scoring.answers import Generated, GenRequest
from mergesearch.scoring.chunks import Job, Likelihood, Tokens
from mergesearch.scoring.engine.context import log_to
from mergesearch.scoring.engine.decoder import Decoder, Pair, generation_cells
from mergesearch.scoring.memory import check_fits, kv_bytes, n_decoders

__all__ = ["Engine", "log_to"]


class Engine(Closing):
    """A GGUF loaded by llama.cpp; a context manager.

    Attributes:
        n_ctx: Number of tokens that a sequence may have, the model's own limit included.
        n_vocab: Number of columns of the logits.
        load_seconds: Seconds that loading took.
        n_decoders: Number of chunks that are decoded side by side.

    Raises:
        ScoringError: llama.cpp cannot load the file.
    """

    def __init__(self, path: Path | str, runtime: Runtime) -> None:
        self.runtime = runtime
        self._decoders: list[Decoder] = []
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
        self.n_decoders = n_decoders(size, runtime, threads)
        for _ in range(self.n_decoders):
            own = threads // self.n_decoders
            self._decoders.append(Decoder(self._model, self, self.n_vocab, runtime, own))

    # -- life ------------------------------------------------------------------------------------

    def close(self) -> None:
        """Free the contexts and the model; calling it again does nothing."""
        for decoder in self._decoders:
            decoder.close()
        if self._model:
            llama.llama_model_free(self._model)
            self._model = None

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
        value = self._metadata(key)
        return None if value is None else int(value)

    @property
    def chat_template(self) -> str | None:
        """The chat template (Jinja) in the GGUF's metadata."""
        text = llama.llama_model_chat_template(self._model, None)
        return None if text is None else text.decode()

    def tokenize(self, text: str, *, add_special: bool = True) -> Tokens:
        """Return the tokens of a text; the name of a special token becomes that token.

        With `add_special`, a beginning-of-text token is put first where the vocabulary asks for it
        and the text does not bring its own; there are never two.
        """
        raw, bos = text.encode(), self.bos
        begins = bos is not None and not raw.startswith(self.piece(bos, special=True))
        size = len(raw) + 2
        buffer = (llama.llama_token * size)()
        count = llama.llama_tokenize(
            self._vocab,
            raw,
            len(raw),
            buffer,
            size,
            add_special and begins and llama.llama_vocab_get_add_bos(self._vocab),
            True,
        )
        if count < 0:
            raise ScoringError(f"llama.cpp cannot tokenize a text of {len(raw)} bytes")
        tokens = tuple(buffer[:count])
        while add_special and tokens[:2] == (bos, bos):
            tokens = tokens[1:]
        return tokens

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
        """Whether a token ends generation (end of text, of turn...)."""
        return bool(llama.llama_vocab_is_eog(self._vocab, token))

    # -- memory ----------------------------------------------------------------------------------

    @property
    def kv_bytes(self) -> int:
        """Bytes that one token takes in the KV cache."""
        heads = int(llama.llama_model_n_head(self._model))
        width = int(llama.llama_model_n_embd(self._model)) // max(1, heads)
        prefix = f"{self._metadata('general.architecture')}.attention."
        return kv_bytes(
            layers=int(llama.llama_model_n_layer(self._model)),
            heads=int(llama.llama_model_n_head_kv(self._model)),
            key_width=int(self._metadata(prefix + "key_length") or width),
            value_width=int(self._metadata(prefix + "value_length") or width),
            kv_type=self.runtime.kv_type,
        )

    def check_memory(self, jobs: Sequence[Job]) -> None:
        """Refuse jobs whose KV caches exceed the memory that is free now.

        Layers on a GPU keep theirs there, where llama.cpp itself refuses.

        Raises:
            ObjectivesError: They exceed it; it names the `n_parallel` that would fit.
        """
        available = available_memory()
        longest = max((generation_cells(job.requests) for job in jobs if job.generates), default=0)
        if available is not None and self.runtime.n_gpu_layers == 0:
            check_fits(
                self.runtime.n_parallel, longest, self.kv_bytes, len(self._decoders), available
            )

    def _metadata(self, key: str) -> str | None:
        buffer = ctypes.create_string_buffer(256)
        count = llama.llama_model_meta_val_str(self._model, key.encode(), buffer, 256)
        return None if count < 0 else buffer.value.decode()

    # -- chunks ----------------------------------------------------------------------------------

    def generate(self, requests: Sequence[GenRequest]) -> list[Generated]:
        """Continue the prompts of one chunk; of equal logits a greedy answer takes the first."""
        return self._decoders[0].generate(requests)

    def loglikelihood(self, pairs: Sequence[Pair]) -> list[Likelihood]:
        """Return the log-likelihood of each (context, continuation) of one chunk.

        Requests with the same context read it once. Each pair fits in the context
        (chunks.fit_pair).
        """
        return self._decoders[0].loglikelihood(pairs)

    def run(self, jobs: Sequence[Job], on_done: Callable[[int, list[Any], float], None]) -> None:
        """Run chunks, side by side where there are several decoders.

        Args:
            jobs: Chunks to run.
            on_done: Function that is told each chunk's index, results and seconds as it is done, in
                any order, in the calling thread.
        """
        free: SimpleQueue[Decoder] = SimpleQueue()
        for decoder in self._decoders[: len(jobs)]:
            free.put(decoder)

        def work(job: Job) -> tuple[list[Any], float]:
            decoder = free.get()
            start = time.perf_counter()
            try:
                return decoder.run(job), time.perf_counter() - start
            finally:
                free.put(decoder)

        with ThreadPoolExecutor(max(1, free.qsize())) as pool:
            futures = {pool.submit(work, job): index for index, job in enumerate(jobs)}
            try:
                for future in as_completed(futures):
                    on_done(futures[future], *future.result())
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
