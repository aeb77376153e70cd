"""An answer that grows: how its tokens are drawn, where its thought ends, and when it is complete.

Pure bookkeeping in Python and NumPy; llama.cpp itself is called by the engine alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from mergesearch.scoring.chunks import Tokens

# -- drawing ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sampling:
    """How an answer is sampled.

    Attributes:
        temperature: Divisor of the logits, above 0.
        top_k: Number of the likeliest tokens that are drawn from; 0: all.
        top_p: Sum of probabilities that the fewest likeliest of those must reach to be drawn from.
        seed: Seed of the answer's own generator.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int = 0

    def generator(self) -> np.random.Generator:
        """Return the generator that the answer's tokens are drawn with, one number a token."""
        return np.random.Generator(np.random.PCG64(self.seed))


def sampling_options(options: Mapping[str, Any]) -> Sampling | None:
    """Return how a task's `generation_kwargs` sample, None where they are greedy.

    What they leave out has no effect: no temperature is 1, no top_k is all tokens.
    """
    temperature = float(options.get("temperature", 1.0))
    if not options.get("do_sample") or temperature <= 0:
        return None
    return Sampling(temperature, int(options.get("top_k") or 0), float(options.get("top_p") or 1.0))


def item_seed(task: str, item: int | None, request: int, repeat: int) -> int:
    """Return the seed of one answer: a hash of what it answers, not of when."""
    text = f"{task}\0{item}\0{request}\0{repeat}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")


def draw(
    logits: npt.NDArray[np.float32], sampling: Sampling, generator: np.random.Generator
) -> int:
    """Draw a token: temperature, then top_k, then top_p, as transformers' warpers in this order.

    (transformers/generation/logits_process.py, `TopKLogitsWarper`, `TopPLogitsWarper`)

    Args:
        logits: Logits of the next token, (n_vocab,).
        generator: Source of one uniform number.
    """
    scaled = logits.astype(np.float64) / sampling.temperature
    kept = np.arange(len(scaled))
    if 0 < sampling.top_k < len(scaled):
        threshold = np.partition(scaled, -sampling.top_k)[-sampling.top_k]
        kept = np.flatnonzero(scaled >= threshold)
    weights = np.exp(scaled[kept] - scaled.max())
    if sampling.top_p < 1.0:
        order = np.argsort(-weights, kind="stable")
        mass = np.cumsum(weights[order])
        count = int(np.searchsorted(mass, sampling.top_p * mass[-1])) + 1
        inside = np.sort(order[:count])
        kept, weights = kept[inside], weights[inside]
    mass = np.cumsum(weights)
    at = int(np.searchsorted(mass, generator.random() * mass[-1], side="right"))
    return int(kept[min(at, len(kept) - 1)])


# -- thoughts --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Thought:
    """How a request's thought is found.

    Attributes:
        opened: Whether the prompt ends inside a thought.
        start: Bytes that open a thought at the beginning of an answer.
        end: Bytes that close a thought.
        closing: Tokens of `end`, given to a model that goes on beyond the budget.
        budget: Number of new tokens that a thought may have.
    """

    opened: bool
    start: bytes
    end: bytes
    closing: Tokens
    budget: int

    @property
    def most_tokens(self) -> int:
        """Number of new tokens that a thought and its closing may have together."""
        return self.budget + len(self.closing)


class ThoughtReader:
    """Follows the tokens of an answer until it is known that a thought is over, or was none.

    Attributes:
        over: Whether what comes next is the answer.
        tokens: Number of tokens of the thought.
    """

    def __init__(self, thought: Thought) -> None:
        self.over = False
        self.tokens = 0
        self._thought = thought
        self._inside = thought.opened
        self._read = 0
        self._closing = list(thought.closing)
        self._text = bytearray()

    def forced(self) -> int | None:
        """Return the token that must come next, None where the model may choose."""
        if self._inside and not self.over and self._read >= self._thought.budget and self._closing:
            return self._closing[0]
        return None

    def take(self, token: int, piece: bytes) -> bytes:
        """Read a token and return what belongs to the answer: nothing while the thought goes on.

        Args:
            piece: Bytes that it stands for, those of a special token included.
        """
        was_forced = token == self.forced()
        self._read += 1
        self._text += piece
        if not self._inside and not self._opens():
            return bytes(self._text) if self.over else b""
        self.tokens = self._read
        if was_forced:
            self._closing.pop(0)
        _, mark, rest = bytes(self._text).partition(self._thought.end)
        self.over = bool(mark) or not self._closing
        return rest

    def _opens(self) -> bool:
        """Whether a thought has started; where the text no longer can, it is an answer."""
        text = bytes(self._text.lstrip())
        self._inside = text.startswith(self._thought.start)
        self.over = not self._inside and not self._thought.start.startswith(text)
        return self._inside


# -- answers ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class GenRequest:
    """A prompt to continue; it fits in the context with all new tokens (chunks.fit_prompt).

    Attributes:
        tokens: Tokens of the prompt.
        max_tokens: Number of new tokens that the answer may have.
        until: Strings that end the answer.
        sampling: How tokens are drawn; None: the likeliest one is taken.
        thought: How the thought before the answer is found; None: there is none.
    """

    tokens: Tokens
    max_tokens: int
    until: tuple[str, ...] = ()
    sampling: Sampling | None = None
    thought: Thought | None = None

    @property
    def most_tokens(self) -> int:
        """Number of new tokens that thought and answer may have together."""
        return self.max_tokens + (0 if self.thought is None else self.thought.most_tokens)


@dataclass(frozen=True)
class Generated:
    """What a prompt was continued with.

    Attributes:
        text: Answer before the stop string or end token; bytes that are not UTF-8 are replaced.
        tokens: All new tokens, those of the stop string and of a thought included.
        stopped: Why it ended: `end` (a token), `until` (a string) or `length`.
        n_thought: Number of tokens of the thought, which come first.
    """

    text: str
    tokens: Tokens
    stopped: str
    n_thought: int = 0


class Pieces(Protocol):
    """What an answer needs to know of the vocabulary."""

    def piece(self, token: int, *, special: bool = False) -> bytes:
        """Return the bytes a token stands for."""

    def ends(self, token: int) -> bool:
        """Whether a token ends generation."""


class Answer:
    """One sequence being generated, of whose prompt `n_read` tokens are read already."""

    def __init__(self, index: int, request: GenRequest, vocabulary: Pieces, n_read: int) -> None:
        self.index = index
        self.n_read = n_read
        self.tokens: list[int] = []
        self._request = request
        self._vocabulary = vocabulary
        self._text = bytearray()
        self._until = [stop.encode() for stop in request.until if stop]
        self._stopped = "length"
        self._drawing = None if request.sampling is None else request.sampling.generator()
        self._thought = None if request.thought is None else ThoughtReader(request.thought)

    def next_token(self, logits: npt.NDArray[np.float32], best: int) -> int:
        """Return the token that comes next; `best` is the likeliest of the logits, (n_vocab,)."""
        forced = None if self._thought is None else self._thought.forced()
        if forced is not None:
            return forced
        if self._drawing is None or self._request.sampling is None:
            return best
        return draw(logits, self._request.sampling, self._drawing)

    def unread(self) -> Sequence[int]:
        """Return the tokens that llama.cpp has not read yet."""
        return self.tokens[-1:] if self.tokens else self._request.tokens[self.n_read :]

    def take(self, token: int) -> bool:
        """Append a token; returns whether the answer is complete."""
        self.tokens.append(token)
        if self._vocabulary.ends(token):
            self._stopped = "end"
            return True
        piece = self._vocabulary.piece(token, special=True)
        if self._thought is not None and not self._thought.over:
            self._append(self._thought.take(token, piece))
        else:
            self._append(piece if piece in self._until else self._vocabulary.piece(token))
        n_answer = len(self.tokens) - self._n_thought
        full = n_answer >= self._request.max_tokens or len(self.tokens) >= self._request.most_tokens
        return full or self._stopped == "until"

    def result(self) -> Generated:
        """Return the finished answer."""
        text = self._text.decode(errors="replace")
        return Generated(text, tuple(self.tokens), self._stopped, self._n_thought)

    @property
    def _n_thought(self) -> int:
        return 0 if self._thought is None else self._thought.tokens

    def _append(self, piece: bytes) -> None:
        """Add to the text, which ends before the first of the stop strings."""
        follows_thought = self._n_thought > 0 and not self._text
        self._text += piece.lstrip() if follows_thought else piece
        ends = [self._text.index(stop) for stop in self._until if stop in self._text]
        if ends:
            del self._text[min(ends) :]
            self._stopped = "until"
