"""A GGUF as a phone would run it: tried out here, and what it takes there by its bytes.

A token is bound by reading: the weights once, and the keys and values of all tokens before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mergesearch.errors import ScoringError
from mergesearch.objectives import Objectives, Runtime
from mergesearch.scoring.answers import GenRequest
from mergesearch.scoring.template import ChatTemplate

QUESTION = "What is the capital of France? Answer in one sentence."
NEW_TOKENS = 48
CONTEXT = 4096
"""Tokens that a phone keeps where nothing else is named and the model was made for as many."""
BANDWIDTHS = {"LPDDR4X-4266": 34e9, "LPDDR5-6400": 51e9, "LPDDR5X-8533": 68e9}
"""Bytes a second of a phone's memory, 64 bits wide, by its kind: what a processor reads at most."""
REACHED = 0.6
"""Share of the bandwidth that llama.cpp's processor kernels reach, about."""


@dataclass(frozen=True)
class PhoneTrial:
    """What a GGUF takes on a phone, and what it answered here.

    Attributes:
        size: Bytes of the file.
        context: Tokens that it was loaded for.
        cache: Bytes of the KV cache of the context.
        prompt: Text that it was given, its chat template applied where it has one.
        answer: What it answered.
        ended: Whether it ended by itself.
    """

    size: int
    context: int
    cache: int
    prompt: str
    answer: str
    ended: bool

    @property
    def memory(self) -> int:
        """Bytes that a phone needs free: the file, the cache, and a tenth for all else."""
        return int(1.1 * (self.size + self.cache))

    def tokens_per_second(self) -> Mapping[str, float]:
        """Return tokens a second, about, with half the context used, by the kind of memory."""
        read = self.size + self.cache / 2
        return {name: REACHED * bandwidth / read for name, bandwidth in BANDWIDTHS.items()}


def try_out(path: Path, context: int | None = None) -> PhoneTrial:
    """Load a GGUF by llama.cpp for a context, and let it answer a question by its template.

    Args:
        context: Number of tokens; None for `CONTEXT`, or what the model was made for where that is
            less.

    Raises:
        ScoringError: It cannot be loaded, was made for a shorter context, or its template fails.
    """
    from mergesearch.scoring.engine import Engine, log_to

    log_to(None)
    with Engine(path, Runtime(n_ctx=context or CONTEXT, n_parallel=1)) as engine:
        if context is not None and engine.n_ctx < context:
            raise ScoringError(
                f"it was made for {engine.n_ctx} tokens",
                where=path,
                expected=f"a model for {context}, or a smaller --context",
            )
        prompt = QUESTION
        if engine.chat_template is not None:
            chat = ChatTemplate.of(engine, Objectives(objectives=()))
            prompt = chat.render([{"role": "user", "content": QUESTION}])
        request = GenRequest(engine.tokenize(prompt), NEW_TOKENS)
        (answer,) = engine.generate([request])
        kept = engine.n_ctx
        cache = engine.kv_bytes * kept
    size = path.stat().st_size
    return PhoneTrial(size, kept, cache, prompt, answer.text, answer.stopped == "end")
