"""What happens around the decoding: one answer that grows, one pack of prefixes and endings.

Pure bookkeeping in Python and NumPy; llama.cpp itself is called by the engine alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from mergesearch._kernels import kernels
from mergesearch.scoring.chunks import PrefixGroup, Tokens
from mergesearch.scoring.sampling import Sampling, draw
from mergesearch.scoring.thought import Thought, ThoughtReader


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


@dataclass(frozen=True)
class Likelihood:
    """Sum of log-probabilities (nat) of a continuation; whether greedy decoding would give it."""

    logprob: float
    is_greedy: bool


class Pieces(Protocol):
    """What an answer needs to know of the vocabulary."""

    def piece(self, token: int, *, special: bool = False) -> bytes:
        """Return the bytes a token stands for."""

    def ends(self, token: int) -> bool:
        """Whether a token ends generation."""


class Answer:
    """One sequence being generated, of whose prompt `n_read` tokens are read already."""

    def __init__(
        self, index: int, request: GenRequest, vocabulary: Pieces, n_read: int = 0
    ) -> None:
        self.index = index
        self.n_read = n_read
        self.tokens: list[int] = []
        self._request = request
        self._vocabulary = vocabulary
        self._text = bytearray()
        self._until = [stop.encode() for stop in request.until if stop]
        self._end = -1
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
        elif piece in self._until and not self._skips(piece):
            self._stopped = "until"
            return True
        else:
            self._append(self._vocabulary.piece(token))
        n_answer = len(self.tokens) - self._n_thought
        full = n_answer >= self._request.max_tokens or len(self.tokens) >= self._request.most_tokens
        return self._end >= 0 or full

    def result(self) -> Generated:
        """Return the finished answer."""
        text = self._text if self._end < 0 else self._text[: self._end]
        decoded = text.decode(errors="replace")
        return Generated(decoded, tuple(self.tokens), self._stopped, self._n_thought)

    @property
    def _n_thought(self) -> int:
        return 0 if self._thought is None else self._thought.tokens

    def _skips(self, piece: bytes) -> bool:
        """Whether a piece is space between a thought and the answer."""
        return self._n_thought > 0 and not self._text and piece.isspace()

    def _append(self, piece: bytes) -> None:
        """Add to the text, and look for stop strings in what is new."""
        before = len(self._text)
        self._text += piece.lstrip() if self._n_thought and not before else piece
        for stop in self._until:
            at = self._text.find(stop, max(0, before - len(stop) + 1))
            if at >= 0 and (self._end < 0 or at < self._end):
                self._end, self._stopped = at, "until"


class PackPlan:
    """Token arrays of a pack, and which of its rows predict which token of which request."""

    def __init__(self, pack: Sequence[PrefixGroup]) -> None:
        tokens: list[int] = []
        positions: list[int] = []
        first_seq: list[int] = []
        n_seq: list[int] = []
        want_at: list[int] = []
        want_token: list[int] = []
        self.spans: list[tuple[int, int, int]] = []
        seq = 0
        for group in pack:
            path: list[int] = []  # where the tokens of the sequence at hand are in the pack
            for request, sequence, shared, targets in zip(
                group.requests, group.sequences, group.shared, group.targets, strict=True
            ):
                path[shared:] = range(len(tokens), len(tokens) + len(sequence) - shared)
                for at in path[:shared]:
                    n_seq[at] += 1
                tokens += sequence[shared:]
                positions += range(shared, len(sequence))
                first_seq += [seq] * (len(sequence) - shared)
                n_seq += [1] * (len(sequence) - shared)
                seq += 1
                begin = len(want_at)
                want_at += [path[at] for at, _ in targets]
                want_token += [token for _, token in targets]
                self.spans.append((request, begin, len(want_at)))
        self.tokens = np.array(tokens, np.int32)
        self.positions = np.array(positions, np.int32)
        self.first_seq = np.array(first_seq, np.int32)
        self.n_seq = np.array(n_seq, np.int32)
        self.want_at = np.array(want_at, np.int64)
        self.want_token = np.array(want_token, np.int64)
        self.wanted = np.zeros(len(tokens), np.int8)
        self.wanted[self.want_at] = 1
        self._output = np.flatnonzero(self.wanted)
        self.rows = np.searchsorted(self._output, self.want_at)

    def parts(self, max_tokens: int, max_rows: int) -> Iterator[tuple[slice, int]]:
        """Cut the pack into calls of llama.cpp; yields the tokens and the first output row."""
        start = row = 0
        while start < len(self.tokens):
            stop = min(start + max_tokens, len(self.tokens))
            if row + max_rows < len(self._output):
                stop = min(stop, int(self._output[row + max_rows]))
            yield slice(start, stop), row
            start, row = stop, int(np.searchsorted(self._output, stop))


def log_chances(
    logits: npt.NDArray[np.float32], rows: npt.NDArray[np.int64], tokens: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Return log-probability and greediness of `tokens[i]` under row `rows[i]` of the logits.

    Sums are the kernels': in float64, in an order that no processor changes. Of equal logits the
    first is the greedy one.

    Args:
        logits: Logits, `(n, n_vocab)`.
        rows: Number of a row for each token, `(tokens,)`.
        tokens: Tokens, `(tokens,)`.
    """
    best, total = np.empty(len(logits), np.int64), np.empty(len(logits), np.float64)
    kernels().log_sums(logits, best, total)
    chosen = logits[rows, tokens].astype(np.float64)
    return chosen - total[rows], best[rows] == tokens
