"""Parents in one vocabulary: views whose embedding and head follow the tokens of the result.

Where a parent lacks a token its rows come from the others as mergekit 0.1.5 takes them
(`tokenizer/embed.py`): from the only parent that has it; from the base; else the mean of those
that have it; zeros where none has. Nothing as large as an embedding is held: rows are gathered
whenever they are read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from mergesearch.checkpoint.parent import Checkpoint, TensorInfo
from mergesearch.errors import CheckpointError, RecipeError
from mergesearch.gguf_layout import EMBEDDING, HEAD
from mergesearch.recipe.types import TokenizerChoice, TokenSource
from mergesearch.tokenizer import Tokenizer, chosen_tokenizer, tokens_of

Float = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]
_ABSENT = -1
_MEAN_ROWS = 4096


@dataclass(frozen=True)
class Aligned:
    """Parents that agree in their vocabulary.

    Attributes:
        parents: by id, all with the same rows and all tied or none.
        tokenizer: of the result, None where no parent has one.
    """

    parents: Mapping[str, Checkpoint]
    tokenizer: Tokenizer | None


def align(
    parents: Mapping[str, Checkpoint], base: str | None, choice: TokenizerChoice | None
) -> Aligned:
    """Return the parents of a merge in the vocabulary of its result.

    Without a choice all must have the same tokens; the base, else the first parent, tells how many
    rows there are, and gives those that another parent does not have.

    Raises:
        CheckpointError: without a choice, vocabularies that differ.
        RecipeError: the choice names what is not there.
    """
    first = base or next(iter(parents))
    parents = {first: parents[first], **parents}
    tied = all(one.layout.tied for one in parents.values())
    if choice is None:
        check_vocabularies(parents)
        rows = parents[first].layout.vocab_rows
        if all((p.layout.vocab_rows, p.layout.tied) == (rows, tied) for p in parents.values()):
            return Aligned(parents, parents[first].tokenizer)
        maps = {ref: _padded(one, parents[first], rows, first) for ref, one in parents.items()}
        tokenizer = parents[first].tokenizer
    else:
        sized = {
            ref: (one.tokenizer, one.layout.vocab_rows)
            for ref, one in parents.items()
            if one.tokenizer is not None
        }
        tokenizer = chosen_tokenizer(sized, first, choice)
        maps = dict(
            zip(
                parents,
                _maps(tokenizer, _sizes(parents, first), _request(parents, choice)),
                strict=True,
            )
        )
    views = {
        ref: one
        if maps[ref].keeps(one.layout.vocab_rows) and one.layout.tied == tied
        else _View(one, parents, maps[ref], tied, tokenizer)
        for ref, one in parents.items()
    }
    return Aligned(views, tokenizer)


def check_vocabularies(parents: Mapping[str, Checkpoint]) -> None:
    """Refuse parents whose tokenizers give different tokens to the rows of the embedding.

    Parents without a tokenizer are not compared.

    Raises:
        CheckpointError: naming the two parents and the first token that differs.
    """
    found = {
        ref: tokens_of(one.tokenizer) for ref, one in parents.items() if one.tokenizer is not None
    }
    if not found:
        return
    (first, one), *others = found.items()
    for ref, other in others:
        if one == other:
            continue
        row = next(row for row in sorted({*one, *other}) if one.get(row) != other.get(row))
        raise CheckpointError(
            f"the parents differ in token {row}: {one.get(row)!r} in {first},"
            f" {other.get(row)!r} in {ref}",
            expected="fine-tunes of the same base",
            fix="say which tokens the result has: tokenizer_source (base, union, or a parent)",
        )


@dataclass(frozen=True)
class _Map:
    """Where each row of the result's vocabulary comes from, for one parent.

    Attributes:
        own: the parent's own row, -1 where others give it.
        others: for each parent by its place, the row of it that is added there, -1 for none.
        counts: what the sum of the others' rows is divided by.
        tokens: rows that hold tokens; those beyond are the mean of these, None where all count.
    """

    own: Rows
    others: tuple[Rows, ...]
    counts: npt.NDArray[np.float32]
    tokens: int | None = None

    @property
    def rows(self) -> int:
        return len(self.own)

    def keeps(self, rows: int) -> bool:
        """Whether it leaves a parent with that many rows as it is."""
        return self.rows == rows and bool((self.own == np.arange(rows)).all())


def _padded(one: Checkpoint, donor: Checkpoint, rows: int, name: str) -> _Map:
    """The parent's rows, and the donor's where it has fewer."""
    index = np.arange(rows)
    lacking = index >= one.layout.vocab_rows
    own = np.where(lacking, _ABSENT, index)
    return _Map(own, (np.where(lacking, index, _ABSENT),), np.ones(rows, np.float32))


def _sizes(
    parents: Mapping[str, Checkpoint], first: str
) -> tuple[tuple[Tokenizer | None, int], ...]:
    """Each parent's tokenizer, the base's where it has none, and its rows."""
    fallback = parents[first].tokenizer
    return tuple((one.tokenizer or fallback, one.layout.vocab_rows) for one in parents.values())


@dataclass(frozen=True)
class _Request:
    """A choice with parents by their places, the first being the base; it can be compared."""

    tokens: tuple[tuple[str, int | None, TokenSource], ...]
    multiple: int | None


def _request(parents: Mapping[str, Checkpoint], choice: TokenizerChoice) -> _Request:
    places = {ref: place for place, ref in enumerate(parents)}
    for text, source in choice.tokens.items():
        if source.model is not None and source.model not in places:
            raise RecipeError(
                f"token {text!r} takes its rows from {source.model!r}, which is no parent",
                expected=", ".join(places),
            )
    tokens = tuple(
        (text, None if source.model is None else places[source.model], source)
        for text, source in choice.tokens.items()
    )
    return _Request(tokens, choice.pad_to_multiple_of)


@lru_cache(maxsize=16)
def _maps(
    tokenizer: Tokenizer, sizes: tuple[tuple[Tokenizer | None, int], ...], request: _Request
) -> tuple[_Map, ...]:
    """The maps of all parents, in order; kept, since a search asks for the same ones each time."""
    texts = tokens_of(tokenizer)
    count = max(texts, default=-1) + 1
    rows = count
    if request.multiple:
        rows = -(-count // request.multiple) * request.multiple
    places = [_places(one, size) for one, size in sizes]
    own = [np.full(rows, _ABSENT) for _ in sizes]
    for row, text in texts.items():
        for index, found in enumerate(places):
            own[index][row] = found.get(text, _ABSENT)
    given = _given([one.copy() for one in own])
    forced = np.zeros(rows, dtype=bool)
    rows_of = {text: row for row, text in texts.items()}
    for text, giver, source in request.tokens:
        row = rows_of[text]
        forced[row] = source.force
        for index, others in enumerate(given):
            named = index == giver
            others[row] = _row_of(text, source, sizes[index], places[index]) if named else _ABSENT
    counts = np.maximum(1, np.count_nonzero(np.stack(given) != _ABSENT, axis=0))
    return tuple(
        _Map(
            np.where(forced, _ABSENT, mine),
            tuple(given),
            counts.astype(np.float32),
            count if rows > count else None,
        )
        for mine in own
    )


def _places(tokenizer: Tokenizer | None, rows: int) -> dict[str, int]:
    """A parent's row of every token that its embedding has."""
    found = {} if tokenizer is None else tokens_of(tokenizer)
    return {text: row for row, text in found.items() if row < rows}


def _given(own: Sequence[Rows]) -> list[Rows]:
    """Whose rows stand in for those of parents that lack a token: the base's, else everybody's."""
    from_base = own[0] != _ABSENT
    return [own[0], *(np.where(from_base, _ABSENT, one) for one in own[1:])]


def _row_of(
    text: str, source: TokenSource, size: tuple[Tokenizer | None, int], places: Mapping[str, int]
) -> int:
    """The row that a recipe names for a token.

    Raises:
        RecipeError: the parent has no such token or row.
    """
    wanted = source.token if source.token is not None else text
    row = source.token_id if source.token_id is not None else places.get(wanted)
    if row is None or not 0 <= row < size[1]:
        named = f"row {row}" if row is not None else f"token {wanted!r}"
        raise RecipeError(f"{source.model} has no {named}, which {text!r} should take")
    return row


class _View:
    """A parent with the vocabulary of the result."""

    def __init__(
        self,
        own: Checkpoint,
        parents: Mapping[str, Checkpoint],
        where: _Map,
        tied: bool,
        tokenizer: Tokenizer | None,
    ) -> None:
        self.ref = own.ref
        self.tokenizer = tokenizer
        self.config: dict[str, Any] = own.config | {
            "vocab_size": where.rows,
            "tie_word_embeddings": tied,
        }
        self.layout = replace(own.layout, vocab_rows=where.rows, tied=tied)
        shape = (where.rows, own.layout.hidden)
        names = [EMBEDDING] if tied else [EMBEDDING, HEAD]
        self.tensors: Mapping[str, TensorInfo] = {
            **own.tensors,
            **{name: TensorInfo(shape, own.tensors[_stored(own, name)].dtype) for name in names},
        }
        self._own = own
        self._parents = tuple(parents.values())
        self._where = where
        self._means: dict[str, Float] = {}

    def rows(self, name: str, start: int, stop: int) -> Float:
        """Return rows as float32, shape `(stop - start, cols)`; a vector is one row."""
        if name not in (EMBEDDING, HEAD):
            return self._own.rows(name, start, stop)
        tokens = self._where.rows if self._where.tokens is None else self._where.tokens
        known = self._gathered(name, start, min(stop, tokens)) if start < tokens else None
        if stop <= tokens:
            assert known is not None
            return known
        more = np.repeat(self._mean(name), stop - max(start, tokens), axis=0)
        return more if known is None else np.concatenate([known, more])

    def _gathered(self, name: str, start: int, stop: int) -> Float:
        where = self._where
        own = where.own[start:stop]
        found = _gather(self._own, name, own)
        lacking = np.flatnonzero(own == _ABSENT)
        if lacking.size:
            total = np.zeros((lacking.size, found.shape[1]), np.float32)
            for parent, rows in zip(self._givers(), where.others, strict=True):
                total += _gather(parent, name, rows[start:stop][lacking])
            found[lacking] = total / where.counts[start:stop][lacking, None]
        return found

    def _givers(self) -> tuple[Checkpoint, ...]:
        return self._parents[: len(self._where.others)]

    def _mean(self, name: str) -> Float:
        """The mean of all rows with tokens, shape `(1, cols)`; the same whoever asks first."""
        if name not in self._means:
            tokens = self._where.tokens or self._where.rows
            total = np.zeros(self.layout.hidden, np.float64)
            for start in range(0, tokens, _MEAN_ROWS):
                block = self._gathered(name, start, min(start + _MEAN_ROWS, tokens))
                total += block.sum(axis=0, dtype=np.float64)
            self._means[name] = (total / tokens).astype(np.float32)[None]
        return self._means[name]


def _stored(parent: Checkpoint, name: str) -> str:
    """The tensor that has the rows of `name`; a tied head is the embedding."""
    return name if name in parent.tensors else EMBEDDING


def _gather(parent: Checkpoint, name: str, rows: Rows) -> Float:
    """Rows of a parent in any order, zeros where the row is -1; runs are read together."""
    found = np.zeros((len(rows), parent.layout.hidden), np.float32)
    breaks = np.flatnonzero((np.diff(rows) != 1) | (rows[:-1] == _ABSENT)) + 1
    for begin, end in zip([0, *breaks], [*breaks, len(rows)], strict=True):
        if len(rows) and rows[begin] != _ABSENT:
            first = int(rows[begin])
            found[begin:end] = parent.rows(_stored(parent, name), first, first + int(end - begin))
    return found
