"""The keys of a recipe that choose the tokenizer (mergekit `tokenizer/config.py`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mergesearch._system.yaml_text import as_written
from mergesearch.recipe.reading import Location, checked_keys, choice_of, string_of, switch_of

_KINDS = ("zero", "model_token")


@dataclass(frozen=True)
class TokenSource:
    """Where the embedding and head rows of one token come from in parents that lack it.

    Attributes:
        model: Id of the parent that gives them, None for zeros.
        token: Another token of that parent; the same token where both this and the row are None.
        token_id: Row of that parent.
        force: Whether the parents that have the token take these rows too.
    """

    model: str | None
    token: str | None = None
    token_id: int | None = None
    force: bool = False

    def to_document(self) -> dict[str, Any]:
        """Return the document that says it."""
        source: Any = {"kind": "zero"} if self.model is None else self.model
        if self.token is not None:
            source = {"kind": "model_token", "model": self.model, "token": self.token}
        elif self.token_id is not None:
            source = {"kind": "model_token", "model": self.model, "token_id": self.token_id}
        return {"source": source} | ({"force": True} if self.force else {})


@dataclass(frozen=True)
class TokenizerChoice:
    """Which tokenizer the result has.

    Attributes:
        source: `base`, `union` or a parent's id.
        tokens: Rows of some tokens.
        pad_to_multiple_of: Number whose multiple the number of rows becomes.
    """

    source: str = "union"
    tokens: Mapping[str, TokenSource] = field(default_factory=dict, hash=False)
    pad_to_multiple_of: int | None = None

    def to_document(self) -> dict[str, Any]:
        """Return its key and value: the old key where that says everything, else the block."""
        if not self.tokens and self.pad_to_multiple_of is None:
            return {"tokenizer_source": self.source}
        block: dict[str, Any] = {"source": self.source}
        if self.tokens:
            block["tokens"] = {text: source.to_document() for text, source in self.tokens.items()}
        if self.pad_to_multiple_of is not None:
            block["pad_to_multiple_of"] = self.pad_to_multiple_of
        return {"tokenizer": block}


def parse_tokenizer(top: Mapping[str, Any], location: Location) -> TokenizerChoice | None:
    """Return the choice of `tokenizer`, or of the old key `tokenizer_source`.

    Raises:
        RecipeError: Both keys, an unknown one, or a value that is not one of its key.
    """
    source = string_of(top, "tokenizer_source", location)
    if "tokenizer" not in top:
        return None if source is None else TokenizerChoice(source)
    if source is not None:
        raise location.error("`tokenizer` and `tokenizer_source` cannot both be named")
    inner = location / "tokenizer"
    keys = checked_keys(top["tokenizer"], ("source", "tokens", "pad_to_multiple_of"), inner)
    tokens = keys.get("tokens") or {}
    if not isinstance(tokens, dict):
        raise (inner / "tokens").error(f"{as_written(tokens)} is not a mapping of tokens")
    multiple = keys.get("pad_to_multiple_of")
    if multiple is not None and (type(multiple) is not int or multiple < 1):
        raise inner.error(
            f"`pad_to_multiple_of` {as_written(multiple)} is not a whole number above 0"
        )
    return TokenizerChoice(
        string_of(keys, "source", inner) or "union",
        {
            str(text): _token_source(entry, inner / "tokens" / text)
            for text, entry in tokens.items()
        },
        multiple,
    )


def _token_source(document: Any, location: Location) -> TokenSource:
    keys = checked_keys(document, ("source", "force"), location)
    force = switch_of(keys.get("force", False), location / "force")
    source = keys.get("source")
    if isinstance(source, str) and source:
        return TokenSource(source, force=force)
    if source is None:
        raise location.error("needs `source`", expected="a parent, or a mapping with `kind`")
    inner = location / "source"
    fields = checked_keys(source, ("kind", "model", "token", "token_id"), inner)
    if choice_of(fields, "kind", _KINDS, None, inner) == "zero":
        return TokenSource(None, force=force)
    model, token = string_of(fields, "model", inner), string_of(fields, "token", inner)
    row = fields.get("token_id")
    if model is None or (token is None) == (row is None):
        raise inner.error("needs `model`, and either `token` or `token_id`")
    if row is not None and (type(row) is not int or row < 0):
        raise inner.error(f"`token_id` {as_written(row)} is not a row")
    return TokenSource(model, token, row, force)
