"""Parents in one vocabulary: whose tokens the result has, and where each row comes from.

Where a parent lacks a token its rows come from the others as mergekit 0.1.5 takes them
(`tokenizer/embed.py`): from the base; where it lacks the token too, or there is no base, the mean
of those that have it; zeros where none has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from mergesearch._system.memo import Memo
from mergesearch.errors import CheckpointError, RecipeError
from mergesearch.gguf import EMBEDDING
from mergesearch.merge.aligned import ABSENT, AlignedParent, RowNumbers, RowSources
from mergesearch.parents import Checkpoint
from mergesearch.recipe import TokenizerChoice, TokenSource
from mergesearch.vocabulary import Tokenizer, chosen_tokenizer
from mergesearch.vocabulary.to_gguf import SENTENCEPIECE_SPACE

_Sized: TypeAlias = tuple[str, Tokenizer | None, int]
"""A parent's id, its tokenizer, and the number of rows of its embedding."""


@dataclass(frozen=True)
class Aligned:
    """Parents that agree in their vocabulary.

    Attributes:
        parents: Parents by id, all with the same rows, and all tied or none.
        tokenizer: Tokenizer of the result, None where the parent that gives it has none.
    """

    parents: Mapping[str, Checkpoint]
    tokenizer: Tokenizer | None


def align(
    parents: Mapping[str, Checkpoint],
    base: str | None,
    choice: TokenizerChoice | None,
    memo: Memo,
) -> Aligned:
    """Return the parents of a merge in the vocabulary of its result.

    Without a choice all must have the same tokens; the base, else the first parent, decides how
    many rows there are, and gives those that another parent does not have. Only where all parents
    are tied is the result; elsewhere the head of a tied parent is its embedding.

    Args:
        base: Id of the base, None where there is none.
        choice: Tokenizer that the recipe asks for.
        memo: Results for the same tokenizers, which a search asks for again and again.

    Raises:
        CheckpointError: Vocabularies differ, and there is no choice.
        RecipeError: The choice names what does not exist.
    """
    first = base or next(iter(parents))
    parents = {first: parents[first], **parents}
    if choice is None:
        check_vocabularies(parents, memo)
        tokenizer = parents[first].tokenizer
        rows = parents[first].layout.vocab_rows
        sources = [_padded(parent.layout.vocab_rows, rows) for parent in parents.values()]
    else:
        sized = tuple(
            (ref, parent.tokenizer, parent.layout.vocab_rows) for ref, parent in parents.items()
        )
        tokenizer, sources = memo(_chosen, sized, base is not None, choice)
    tied = all(parent.layout.tied for parent in parents.values())
    members = tuple(parents.values())
    aligned = {
        ref: parent
        if source.keeps(parent.layout.vocab_rows) and parent.layout.tied == tied
        else AlignedParent(parent, members, source, tied, tokenizer)
        for (ref, parent), source in zip(parents.items(), sources, strict=True)
    }
    return Aligned(aligned, tokenizer)


def check_vocabularies(parents: Mapping[str, Checkpoint], memo: Memo) -> None:
    """Refuse parents that give different tokens to the rows of the embedding.

    Where none has a tokenizer they must at least have as many rows.

    Raises:
        CheckpointError: Names the two parents and the first difference, or the one whose tokens
            are not known.
    """
    (first_ref, first), *others = parents.items()
    for ref, other in others:
        difference = None
        if first.tokenizer is not None and other.tokenizer is not None:
            difference = memo(_first_difference, first.tokenizer, other.tokenizer)
        elif first.tokenizer is not None or other.tokenizer is not None:
            known, unknown = (first_ref, ref) if other.tokenizer is None else (ref, first_ref)
            raise CheckpointError(
                "no tokenizer.json, so it is unknown which tokens its rows stand for",
                where=unknown,
                expected=f"the tokens of {known}",
                fix=f"if it has them, put the tokenizer.json of {known} into its folder, or write"
                " tokenizer_source: base (or the parent's id)",
            )
        elif first.layout.vocab_rows != other.layout.vocab_rows:
            shapes = [str(parent.tensors[EMBEDDING].shape) for parent in (first, other)]
            difference = (EMBEDDING, shapes[0], shapes[1])
        if difference is not None:
            what, expected, found = difference
            raise CheckpointError(
                f"the parents differ in {what}: {expected} in {first_ref}, {found} in {ref}",
                expected="fine-tunes of the same base",
                fix="say which tokens the result has: tokenizer_source (base, union, or a parent)",
            )


def _first_difference(first: Tokenizer, second: Tokenizer) -> tuple[str, str, str] | None:
    """The first row with another token in two tokenizers, and both tokens."""
    if first.tokens == second.tokens:
        return None
    for row in sorted({*first.tokens, *second.tokens}):
        expected, found = first.tokens.get(row), second.tokens.get(row)
        if expected is None or found is None or _with_spaces(expected) != _with_spaces(found):
            return f"token {row}", repr(expected), repr(found)
    return None


def _with_spaces(text: str) -> str:
    """A token with spaces as a GGUF writes those of added tokens, where folders have a letter."""
    return text.replace(SENTENCEPIECE_SPACE, " ")


def _padded(own: int, rows: int) -> RowSources:
    """A parent's own rows, and the first parent's where it has fewer."""
    index = np.arange(rows)
    own_rows = np.where(index < own, index, ABSENT)
    return RowSources(own_rows, {0: index}, np.ones(rows, np.float32), rows)


def _chosen(
    parents: tuple[_Sized, ...], from_base: bool, choice: TokenizerChoice
) -> tuple[Tokenizer, list[RowSources]]:
    """The tokenizer that a recipe asks for, and where the rows of each parent come from.

    Args:
        parents: Parents in order, the base first.
        from_base: Whether a token that the base has comes from it alone.
    """
    first, fallback, _ = parents[0]
    tokenizer = chosen_tokenizer(
        {ref: None if own is None else (own, rows) for ref, own, rows in parents}, first, choice
    )
    sized = tuple((ref, own or fallback, rows) for ref, own, rows in parents)
    return tokenizer, _row_sources(tokenizer, sized, choice, from_base)


def _row_sources(
    tokenizer: Tokenizer, parents: tuple[_Sized, ...], choice: TokenizerChoice, from_base: bool
) -> list[RowSources]:
    """Where the rows of each parent come from, in order."""
    texts = tokenizer.tokens
    n_tokens = max(texts, default=-1) + 1
    multiple = choice.pad_to_multiple_of or 1
    rows = -(-n_tokens // multiple) * multiple
    rows_by_text = [_rows_by_text(own, own_rows) for _, own, own_rows in parents]
    own_rows = [_own_rows(rows, texts, by_text) for by_text in rows_by_text]
    donor_rows = [numbers.copy() for numbers in own_rows]
    if from_base:
        for numbers in donor_rows[1:]:
            numbers[own_rows[0] != ABSENT] = ABSENT
    forced = np.zeros(rows, dtype=bool)
    result_rows = {text: row for row, text in texts.items()}
    for text, source in choice.tokens.items():
        row = result_rows[text]
        forced[row] = source.force
        for numbers in donor_rows:
            numbers[row] = ABSENT
        if source.model is not None:
            place = _place(text, source, [ref for ref, _, _ in parents])
            donor_rows[place][row] = _donor_row(
                text, source, rows_by_text[place], parents[place][2]
            )
    counts = np.maximum(1, np.count_nonzero(np.stack(donor_rows) != ABSENT, axis=0))
    return [
        RowSources(
            np.where(forced, ABSENT, numbers),
            dict(enumerate(donor_rows)),
            counts.astype(np.float32),
            n_tokens,
        )
        for numbers in own_rows
    ]


def _rows_by_text(tokenizer: Tokenizer | None, rows: int) -> dict[str, int]:
    """A parent's row of every token that its embedding has."""
    tokens = {} if tokenizer is None else tokenizer.tokens
    return {text: row for row, text in tokens.items() if row < rows}


def _own_rows(rows: int, texts: Mapping[int, str], by_text: Mapping[str, int]) -> RowNumbers:
    """A parent's row of every token of the result."""
    numbers = np.full(rows, ABSENT)
    numbers[list(texts)] = [by_text.get(text, ABSENT) for text in texts.values()]
    return numbers


def _place(text: str, source: TokenSource, refs: list[str]) -> int:
    """The place of the parent that a recipe names for a token.

    Raises:
        RecipeError: There is no such parent.
    """
    if source.model not in refs:
        raise RecipeError(
            f"token {text!r} takes its rows from {source.model!r}, which is not a parent",
            expected=", ".join(refs),
        )
    return refs.index(source.model)


def _donor_row(text: str, source: TokenSource, by_text: Mapping[str, int], rows: int) -> int:
    """The row that a recipe names for a token.

    Raises:
        RecipeError: The parent has no such token or row.
    """
    wanted = text if source.token is None else source.token
    row = by_text.get(wanted) if source.token_id is None else source.token_id
    if row is None or row >= rows:
        missing = f"token {wanted!r}" if row is None else f"row {row}"
        raise RecipeError(f"{source.model} has no {missing}, which {text!r} should take")
    return row
