"""The tokens of a vocabulary as a file has them that gives each a type and a score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import gguf

ADDED = (gguf.TokenType.CONTROL, gguf.TokenType.USER_DEFINED, gguf.TokenType.UNKNOWN)
"""Types of a GGUF's tokens that a `tokenizer.json` has as added tokens."""


@dataclass(frozen=True)
class StoredTokens:
    """The tokens of a GGUF or of a SentencePiece model.

    Attributes:
        kind: GGUF's kind of tokenizer.
        texts: Text of each row of the embedding.
        types: `gguf.TokenType` of each row.
        scores: Score of each row; None where there are none.
    """

    kind: str
    texts: Sequence[str]
    types: Sequence[int]
    scores: Sequence[float] | None
