"""Which tokenizer a merged model has: a parent's, or the union of all.

What the result holds matches mergekit 0.1.5 (`tokenizer/build.py`), without the `tokenizers`
library: everything happens in the `tokenizer.json` documents. mergekit adds the new tokens of a
union in an order that changes from run to run; ours is that of the parents and of their rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeAlias

from mergesearch.errors import CheckpointError, RecipeError
from mergesearch.recipe import TokenizerChoice
from mergesearch.vocabulary.documents import added_token, pieces_of
from mergesearch.vocabulary.files import LISTED, Tokenizer, text_of

Sized: TypeAlias = tuple[Tokenizer, int]
"""A tokenizer with the rows of its model's embedding; tokens beyond them do not count."""


def chosen_tokenizer(
    tokenizers: Mapping[str, Sized | None], base: str, choice: TokenizerChoice
) -> Tokenizer:
    """Return the tokenizer of the result.

    Args:
        tokenizers: Tokenizer of every parent in the recipe's order, None where it has none.
        base: Id of the base, or of the first parent where there is none.

    Raises:
        RecipeError: The choice names no parent.
        CheckpointError: The parent has no tokenizer.
    """
    source = base if choice.source in ("base", "union") else choice.source
    if source not in tokenizers:
        raise RecipeError(
            f"the tokenizer's source {source!r} is not a parent of this recipe",
            expected="base, union, or one of " + ", ".join(tokenizers),
        )
    first = tokenizers[source]
    if first is None:
        raise CheckpointError(
            "no tokenizer.json",
            where=source,
            fix="name a parent that has one as the tokenizer's source",
        )
    others = [sized for ref, sized in tokenizers.items() if sized is not None and ref != source]
    united = with_tokens(
        without_rows_beyond(*first), _entries(others if choice.source == "union" else [])
    )
    return with_tokens(united, {text: added_token(text) for text in choice.tokens})


def without_rows_beyond(tokenizer: Tokenizer, rows: int) -> Tokenizer:
    """Return the tokenizer without the tokens whose row the embedding does not have."""
    gone = {text for row, text in tokenizer.tokens.items() if row >= rows}
    if not gone:
        return tokenizer
    document = dict(tokenizer.document)
    model = dict(document["model"])
    model["vocab"] = {text: row for text, row in model["vocab"].items() if row < rows}
    merges = model.get("merges") or []
    made = [(merge, *pieces_of(merge)) for merge in merges]
    model["merges"] = [
        merge for merge, left, right in made if not gone & {left, right, left + right}
    ]
    document["model"] = model
    added = document.get("added_tokens") or []
    document["added_tokens"] = [entry for entry in added if entry["id"] < rows]
    settings = {
        key: value
        for key, value in tokenizer.settings.items()
        if not (key.endswith("_token") and text_of(value) in gone)
    }
    if LISTED in settings:
        listed = settings[LISTED]
        settings[LISTED] = {row: entry for row, entry in listed.items() if int(row) < rows}
    ids = {kind: row for kind, row in tokenizer.ids.items() if row < rows}
    return replace(tokenizer, document=document, settings=settings, ids=ids, files=None)


def with_tokens(tokenizer: Tokenizer, entries: Mapping[str, Mapping[str, Any]]) -> Tokenizer:
    """Return the tokenizer with more tokens, which get the rows after its last one.

    Those that it has keep their rows; one of its vocabulary becomes an added token if it is one
    elsewhere.

    Args:
        tokenizer: Tokenizer that comes first where both have a token.
        entries: New tokens by text, as `added_tokens` has them; without an id where the token is
            an ordinary one of its vocabulary.
    """
    known = {text: row for row, text in tokenizer.tokens.items()}
    before = tokenizer.added_tokens
    already = {entry["content"] for entry in before.values()}
    following = max(known.values(), default=-1) + 1
    new = {}
    for text, entry in entries.items():
        if text in already or (text in known and "id" not in entry):
            continue
        if text not in known:
            known[text], following = following, following + 1
        new[known[text]] = dict(entry) | {"id": known[text]}
    if not new:
        return tokenizer
    added = [entry for _, entry in sorted((before | new).items())]
    settings = dict(tokenizer.settings)
    if LISTED in settings:  # transformers takes no others where this is there
        settings[LISTED] = {
            str(entry["id"]): {key: value for key, value in entry.items() if key != "id"}
            for entry in added
        }
    document = tokenizer.document | {"added_tokens": added}
    return replace(tokenizer, document=document, settings=settings, files=None)


def _entries(tokenizers: Iterable[Sized]) -> dict[str, Mapping[str, Any]]:
    """Every token of some tokenizers by its text, in order of rows; added ones come first."""
    entries: dict[str, Mapping[str, Any]] = {}
    for tokenizer, rows in tokenizers:
        added = tokenizer.added_tokens
        for row, text in sorted(tokenizer.tokens.items()):
            if row >= rows:
                break
            if row in added and "id" not in entries.get(text, {}):
                entries[text] = added[row]
            entries.setdefault(text, added_token(text))
    return entries
