"""Which tokenizer a merged model has: a parent's, or the union of all.

What the result holds matches mergekit 0.1.5 (`tokenizer/build.py`), without the `tokenizers`
library: everything happens in the `tokenizer.json` documents. mergekit adds the new tokens of a
union in an order that changes from run to run; ours is that of the parents and of their rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

from mergesearch.errors import RecipeError
from mergesearch.recipe.types import TokenizerChoice
from mergesearch.tokenizer.files import Tokenizer, tokens_of

Sized = tuple[Tokenizer, int]
"""A tokenizer with the rows of its model's embedding; tokens beyond them do not count."""


def chosen_tokenizer(
    tokenizers: Mapping[str, Sized], base: str, choice: TokenizerChoice
) -> Tokenizer:
    """Return the tokenizer of the result; the same object for the same arguments.

    Args:
        tokenizers: of every parent that has one, in the recipe's order.
        base: id of the base, or of the first parent where there is none.
        choice: whose tokenizer.

    Raises:
        RecipeError: the choice names no parent, or one without a tokenizer.
    """
    source = base if choice.source in ("base", "union") else choice.source
    if source not in tokenizers:
        raise RecipeError(
            f"the tokenizer of {source!r} is not there",
            expected="base, union, or one of the parents " + ", ".join(tokenizers),
        )
    others = [one for ref, one in tokenizers.items() if ref != source]
    united = tuple(others) if choice.source == "union" else ()
    return _built(tokenizers[source], united, tuple(choice.tokens))


@lru_cache(maxsize=16)
def _built(first: Sized, others: tuple[Sized, ...], added: tuple[str, ...]) -> Tokenizer:
    """The first tokenizer with the tokens of the others, then with some more."""
    result = without_rows_beyond(*first)
    for other, rows in others:
        result = with_tokens(result, _entries(other, rows))
    return with_tokens(result, (_entry(text) for text in added))


def without_rows_beyond(tokenizer: Tokenizer, rows: int) -> Tokenizer:
    """Return the tokenizer without the tokens whose row the embedding does not have."""
    gone = {text for row, text in tokens_of(tokenizer).items() if row >= rows}
    if not gone:
        return tokenizer
    document = dict(tokenizer.document)
    model = dict(document["model"])
    model["vocab"] = {text: row for text, row in model["vocab"].items() if row < rows}
    model["merges"] = [one for one in model.get("merges") or [] if not gone & set(_pair(one))]
    document["model"] = model
    document["added_tokens"] = [
        one for one in document.get("added_tokens") or [] if one["id"] < rows
    ]
    return replace(tokenizer, document=document, files=None)


def _pair(merge: str | list[str]) -> list[str]:
    """The two pieces of a merge and what they make."""
    left, right = merge.split(" ") if isinstance(merge, str) else merge
    return [left, right, left + right]


def with_tokens(tokenizer: Tokenizer, entries: Iterable[dict[str, Any]]) -> Tokenizer:
    """Return the tokenizer with added tokens that it does not have yet, after its last row.

    A token of the vocabulary that another tokenizer has as an added one becomes an added one too.
    """
    known = {text: row for row, text in tokens_of(tokenizer).items()}
    already = {one["content"] for one in tokenizer.document.get("added_tokens") or []}
    following = max(known.values(), default=-1) + 1
    new = []
    for entry in entries:
        text = entry["content"]
        if text in already or (text in known and entry.get("plain")):
            continue
        if text not in known:
            known[text], following = following, following + 1
        already.add(text)
        own = {key: value for key, value in entry.items() if key != "plain"}
        new.append(own | {"id": known[text]})
    if not new:
        return tokenizer
    before = tokenizer.document.get("added_tokens") or []
    document = tokenizer.document | {
        "added_tokens": sorted([*before, *new], key=lambda one: one["id"])
    }
    return replace(tokenizer, document=document, files=None)


def _entries(tokenizer: Tokenizer, rows: int) -> Iterable[dict[str, Any]]:
    """Every token as an added one: those of the vocabulary, then the added ones."""
    added = {one["id"]: one for one in tokenizer.document.get("added_tokens") or []}
    for row, text in sorted(tokens_of(tokenizer).items()):
        if row < rows and row not in added:
            yield _entry(text) | {"plain": True}
    for row, one in sorted(added.items()):
        if row < rows:
            yield one


def _entry(text: str) -> dict[str, Any]:
    return {
        "id": -1,
        "content": text,
        "single_word": False,
        "lstrip": False,
        "rstrip": False,
        "normalized": True,
        "special": False,
    }
