"""Tokens that a tokenizer lists, or a model names, beyond the rows of its embedding."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mergesearch.errors import CheckpointError
from mergesearch.vocabulary import Tokenizer, without_rows_beyond
from mergesearch.vocabulary.files import KINDS, text_of

_NEEDED_KINDS = [kind for kind in KINDS if kind != "pad"]  # nothing is padded to be generated


def check_token_ids(config: Mapping[str, Any], rows: int, where: Path) -> None:
    """Refuse special tokens that are needed and that the embedding has no row for.

    Args:
        rows: Rows of the embedding.

    Raises:
        CheckpointError: Names the first such token.
    """
    for key in (f"{kind}_token_id" for kind in _NEEDED_KINDS):
        named = config.get(key)
        for row in named if isinstance(named, list) else [named]:
            if row is not None and row >= rows:
                raise CheckpointError(
                    f"{key}: {row} is out of range", where=where, expected=f"below {rows}"
                )


def fitting_tokenizer(
    tokenizer: Tokenizer, rows: int, where: Path
) -> tuple[Tokenizer, tuple[str, ...]]:
    """Return a tokenizer without added tokens beyond the embedding, and a note about them.

    One whose ordinary tokens go beyond it stays as it is: without them it would split text into
    other tokens.

    Args:
        rows: Rows of the embedding.

    Raises:
        CheckpointError: The chat template, or a special token other than padding, needs one.
    """
    beyond = {row: text for row, text in sorted(tokenizer.tokens.items()) if row >= rows}
    if not beyond or set(beyond) - set(tokenizer.added_tokens):
        return tokenizer, ()
    for row, text in beyond.items():
        if (user := _user(tokenizer, row, text)) is not None:
            raise CheckpointError(
                f"the token {text!r} has row {row} of an embedding of {rows} rows,"
                f" and {user} needs it",
                where=where,
                fix="resize the model's embedding to its tokenizer (resize_token_embeddings in"
                " transformers), or use the tokenizer of its base",
            )
    fitting = without_rows_beyond(tokenizer, rows)
    names = ", ".join(repr(text) for text in [*beyond.values()][:3])
    more = f" and {len(beyond) - 3} more" if len(beyond) > 3 else ""
    verb = "is" if len(beyond) == 1 else "are"
    note = f"{names}{more} {verb} left out of the tokenizer: the embedding has {rows} rows"
    return fitting, (note,)


def _user(tokenizer: Tokenizer, row: int, text: str) -> str | None:
    """What needs a token, None where nothing does."""
    if text in (tokenizer.chat_template or ""):
        return "the chat template"
    for kind in _NEEDED_KINDS:
        named = text_of(tokenizer.settings.get(f"{kind}_token"))
        if named == text or tokenizer.ids.get(kind) == row:
            return f"{kind}_token"
    return None
