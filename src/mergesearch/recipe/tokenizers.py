"""The keys of a recipe that choose the tokenizer (mergekit `tokenizer/config.py`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mergesearch.recipe.fields import Place, checked_keys, choice_of, text_of
from mergesearch.recipe.types import TokenizerChoice, TokenSource

_KINDS = ("zero", "model_token")


def parse_tokenizer(top: Mapping[str, Any], place: Place) -> TokenizerChoice | None:
    """Return the choice of `tokenizer`, or of the old key `tokenizer_source`.

    Raises:
        RecipeError: both keys, an unknown one, or a value that is none.
    """
    source = text_of(top, "tokenizer_source", place)
    if "tokenizer" not in top:
        return None if source is None else TokenizerChoice(source)
    if source is not None:
        raise place.error("`tokenizer` and `tokenizer_source` cannot both be named")
    here = place / "tokenizer"
    keys = checked_keys(top["tokenizer"], ("source", "tokens", "pad_to_multiple_of"), here)
    tokens, there = keys.get("tokens") or {}, here / "tokens"
    if not isinstance(tokens, dict):
        raise there.error(f"{tokens!r} is not a mapping of tokens")
    multiple = keys.get("pad_to_multiple_of")
    if multiple is not None and (type(multiple) is not int or multiple < 1):
        raise here.error(f"`pad_to_multiple_of` {multiple!r} is not a whole number above 0")
    return TokenizerChoice(
        text_of(keys, "source", here) or "union",
        {str(text): _token(one, there / text) for text, one in tokens.items()},
        multiple,
    )


def _token(document: Any, place: Place) -> TokenSource:
    keys = checked_keys(document, ("source", "force"), place)
    force = keys.get("force", False)
    if not isinstance(force, bool):
        raise place.error(f"`force` {force!r} is not true or false")
    source = keys.get("source")
    if isinstance(source, str) and source:
        return TokenSource(source, force=force)
    if source is None:
        raise place.error("needs `source`", expected="a parent, or a mapping with `kind`")
    here = place / "source"
    inner = checked_keys(source, ("kind", "model", "token", "token_id"), here)
    if choice_of(inner, "kind", _KINDS, None, here) == "zero":
        return TokenSource(None, force=force)
    model, token = text_of(inner, "model", here), text_of(inner, "token", here)
    row = inner.get("token_id")
    if model is None or (token is None) == (row is None):
        raise here.error("needs `model`, and either `token` or `token_id`")
    if row is not None and (type(row) is not int or row < 0):
        raise here.error(f"`token_id` {row!r} is not a row")
    return TokenSource(model, token, row, force)
