"""Tokens that a tokenizer lists beyond the rows of its model's embedding."""

from __future__ import annotations

from pathlib import Path

from mergesearch.errors import CheckpointError
from mergesearch.vocabulary import Tokenizer, without_rows_beyond
from mergesearch.vocabulary.files import KINDS, text_of

_NEEDED_KINDS = [kind for kind in KINDS if kind != "pad"]  # nothing is padded to be generated


def fitting_tokenizer(
    tokenizer: Tokenizer, rows: int, where: Path
) -> tuple[Tokenizer, tuple[str, ...]]:
    """Return a tokenizer without added tokens beyond the embedding, and a note about them.

    One whose ordinary tokens go beyond it stays as it is: without them it would split text into
    other tokens.

    Args:
        tokenizer: Tokenizer as its files have it.
        rows: Rows of the embedding.
        where: Folder that messages name.

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
