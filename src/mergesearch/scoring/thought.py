"""The thought that a model writes before its answer: where it ends, and when it is closed."""

from __future__ import annotations

from dataclasses import dataclass

from mergesearch.scoring.chunks import Tokens


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
