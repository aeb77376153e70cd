"""Words that were probably meant to be others."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """Return the question whether the likest of the known words was meant, None where none is."""
    near = get_close_matches(word, list(known), 1)
    return f"did you mean {near[0]!r}?" if near else None
