"""Parents in one vocabulary: views whose embedding and head follow the tokens of the result.

Where a parent lacks a token its rows come from the others as mergekit 0.1.5 takes them
(`tokenizer/embed.py`): from the base; where it lacks the token too, or there is no base, the mean
of those that have it; zeros where none has. Nothing as large as an embedding is held: rows are
gathered whenever they are read.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from mergesearch._kernels.stored import Stored
from mergesearch.errors import CheckpointError, RecipeError
from mergesearch.gguf import EMBEDDING, HEAD
from mergesearch.parents.parent import Checkpoint, TensorInfo
from mergesearch.recipe.types import TokenizerChoice, TokenSource
from mergesearch.vocabulary import Tokenizer, chosen_tokenizer, tokens_of

Float: TypeAlias = npt.NDArray[np.float32]
Rows: TypeAlias = npt.NDArray[np.int64]
_Sized: TypeAlias = tuple[Tokenizer | None, int]
_ABSENT = -1
_MEAN_ROWS = 4096


@dataclass(frozen=True)
class Aligned:
    """Parents that agree in their vocabulary.

    Attributes:
        parents: by id, all with the same rows and all tied or none.
        tokenizer: of the result, None where the parent that gives it has none.
    """

    parents: Mapping[str, Checkpoint]
    tokenizer: Tokenizer | None


def align(
    parents: Mapping[str, Checkpoint], base: str | None, choice: TokenizerChoice | None
) -> Aligned:
    """Return the parents of a merge in the vocabulary of its result.

    Without a choice all must have the same tokens; the base, else the first parent, tells how many
    rows there are, and gives those that another parent does not have. Only where all parents are
    tied is the result; elsewhere the head of a tied parent is its embedding.

    Raises:
        CheckpointError: without a choice, vocabularies that differ.
        RecipeError: the choice names what is not there.
    """
    first = base or next(iter(parents))
    parents = {first: parents[first], **parents}
    if choice is None:
        check_vocabularies(parents)
        tokenizer = parents[first].tokenizer
        rows = parents[first].layout.vocab_rows
        maps = [_padding(one.layout.vocab_rows, rows) for one in parents.values()]
    else:
        tokenizer = _chosen(parents, first, choice)
        fallback = parents[first].tokenizer
        sizes = [(one.tokenizer or fallback, one.layout.vocab_rows) for one in parents.values()]
        request = _request(parents, choice)
        maps = list(_maps(tokenizer, tuple(sizes), request, base is not None))
    tied = all(one.layout.tied for one in parents.values())
    members = tuple(parents.values())
    views = {
        ref: one
        if where.keeps(one.layout.vocab_rows) and one.layout.tied == tied
        else _View(one, members, where, tied, tokenizer)
        for (ref, one), where in zip(parents.items(), maps, strict=True)
    }
    return Aligned(views, tokenizer)


def _chosen(parents: Mapping[str, Checkpoint], first: str, choice: TokenizerChoice) -> Tokenizer:
    sized = {
        ref: None if one.tokenizer is None else (one.tokenizer, one.layout.vocab_rows)
        for ref, one in parents.items()
    }
    return chosen_tokenizer(sized, first, choice)


def check_vocabularies(parents: Mapping[str, Checkpoint]) -> None:
    """Refuse parents that give different tokens to the rows of the embedding.

    A parent without a tokenizer must at least have as many rows as the others.

    Raises:
        CheckpointError: naming the two parents and the first difference.
    """
    (first, one), *others = parents.items()
    for ref, other in others:
        difference = None
        if one.tokenizer is not None and other.tokenizer is not None:
            difference = _first_difference(one.tokenizer, other.tokenizer)
        elif one.layout.vocab_rows != other.layout.vocab_rows:
            shapes = [str(parent.tensors[EMBEDDING].shape) for parent in (one, other)]
            difference = (EMBEDDING, shapes[0], shapes[1])
        if difference is not None:
            what, mine, theirs = difference
            raise CheckpointError(
                f"the parents differ in {what}: {mine} in {first}, {theirs} in {ref}",
                expected="fine-tunes of the same base",
                fix="say which tokens the result has: tokenizer_source (base, union, or a parent)",
            )


@lru_cache(maxsize=64)
def _first_difference(one: Tokenizer, other: Tokenizer) -> tuple[str, str, str] | None:
    """The first row with another token in two tokenizers, and both tokens."""
    mine, theirs = tokens_of(one), tokens_of(other)
    if mine == theirs:
        return None
    row = next(row for row in sorted({*mine, *theirs}) if mine.get(row) != theirs.get(row))
    return f"token {row}", repr(mine.get(row)), repr(theirs.get(row))


@dataclass(frozen=True, eq=False)
class _Map:
    """Where each row of the result's vocabulary comes from, for one parent.

    Attributes:
        own: the parent's own row, -1 where others give it.
        others: for each parent by its place, the row of it that is added there, -1 for none.
        counts: what the sum of the others' rows is divided by.
        tokens: rows before those that only fill up, each of which is the mean of these.
    """

    own: Rows
    others: tuple[tuple[int, Rows], ...]
    counts: Float
    tokens: int

    @property
    def rows(self) -> int:
        return len(self.own)

    def keeps(self, rows: int) -> bool:
        """Whether it leaves a parent with that many rows as it is."""
        return self.rows == rows and bool((self.own == np.arange(rows)).all())


@lru_cache(maxsize=16)
def _padding(own: int, rows: int) -> _Map:
    """A parent's own rows, and the first parent's where it has fewer."""
    index = np.arange(rows)
    given = ((0, index),)
    return _Map(np.where(index < own, index, _ABSENT), given, np.ones(rows, np.float32), rows)


@dataclass(frozen=True)
class _Request:
    """What a choice says beyond the source, with parents by their places; it can be compared."""

    tokens: tuple[tuple[str, int | None, TokenSource], ...]
    multiple: int


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
    return _Request(tokens, choice.pad_to_multiple_of or 1)


@lru_cache(maxsize=16)
def _maps(
    tokenizer: Tokenizer, sizes: tuple[_Sized, ...], request: _Request, from_base: bool
) -> tuple[_Map, ...]:
    """The maps of all parents, in order; kept, since a search asks for the same ones each time."""
    texts = tokens_of(tokenizer)
    count = max(texts, default=-1) + 1
    rows = -(-count // request.multiple) * request.multiple
    places = [_places(*one) for one in sizes]
    own = [_row_array(rows, texts, place) for place in places]
    given = [one.copy() for one in own]
    if from_base:
        for one in given[1:]:
            one[own[0] != _ABSENT] = _ABSENT
    forced = np.zeros(rows, dtype=bool)
    rows_of = {texts[row]: row for row in texts}
    for text, place, source in request.tokens:
        row = rows_of[text]
        forced[row] = source.force
        for index, one in enumerate(given):
            named = index == place
            one[row] = _row_of(text, source, sizes[index][1], places[index]) if named else _ABSENT
    counts = np.maximum(1, np.count_nonzero(np.stack(given) != _ABSENT, axis=0))
    others = tuple(enumerate(given))
    return tuple(
        _Map(np.where(forced, _ABSENT, mine), others, counts.astype(np.float32), count)
        for mine in own
    )


def _places(tokenizer: Tokenizer | None, rows: int) -> dict[str, int]:
    """A parent's row of every token that its embedding has."""
    found = {} if tokenizer is None else tokens_of(tokenizer)
    return {text: row for row, text in found.items() if row < rows}


def _row_array(rows: int, texts: Mapping[int, str], places: Mapping[str, int]) -> Rows:
    """A parent's row of every token of the result, -1 where it lacks it."""
    found = np.full(rows, _ABSENT)
    found[list(texts)] = [places.get(text, _ABSENT) for text in texts.values()]
    return found


def _row_of(text: str, source: TokenSource, rows: int, places: Mapping[str, int]) -> int:
    """The row that a recipe names for a token.

    Raises:
        RecipeError: the parent has no such token or row.
    """
    wanted = text if source.token is None else source.token
    row = places.get(wanted) if source.token_id is None else source.token_id
    if row is None or row >= rows:
        named = f"token {wanted!r}" if row is None else f"row {row}"
        raise RecipeError(f"{source.model} has no {named}, which {text!r} should take")
    return row


class _View:
    """A parent with the vocabulary of the result; see `Checkpoint`."""

    def __init__(
        self,
        own: Checkpoint,
        parents: Sequence[Checkpoint],
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
        self.layout = own.layout.with_vocabulary(where.rows, tied)
        shape = (where.rows, own.layout.hidden)
        names = [EMBEDDING] if tied else [EMBEDDING, HEAD]
        self.tensors: Mapping[str, TensorInfo] = {
            **own.tensors,
            **{name: TensorInfo(shape, own.tensors[_stored(own, name)].dtype) for name in names},
        }
        self._own = own
        self._parents = parents
        self._where = where
        self._means: dict[str, Float] = {}
        self._lock = threading.Lock()

    def rows(self, name: str, start: int, stop: int) -> Float:
        """Return rows as float32, shape `(stop - start, cols)`; a vector is one row."""
        if name not in (EMBEDDING, HEAD):
            return self._own.rows(name, start, stop)
        tokens = self._where.tokens
        if stop <= tokens:
            return self._gathered(name, start, stop)
        filling = np.repeat(self._mean(name), stop - max(start, tokens), axis=0)
        return np.concatenate([self._gathered(name, min(start, tokens), tokens), filling])

    def stored(self, name: str, start: int, stop: int) -> Stored:
        """Return the same rows; as the parent stores them where no vocabulary orders them."""
        if name in (EMBEDDING, HEAD):
            return self.rows(name, start, stop)
        return self._own.stored(name, start, stop)

    def read_ahead(self, name: str, start: int, stop: int) -> None:
        """Let the system read from the disk the rows that stand at the same places."""
        if name not in (EMBEDDING, HEAD):
            self._own.read_ahead(name, start, stop)

    def _gathered(self, name: str, start: int, stop: int) -> Float:
        own = self._where.own[start:stop]
        found = _gather(self._own, name, own)
        lacking = np.flatnonzero(own == _ABSENT)
        if lacking.size:
            total = np.zeros((lacking.size, found.shape[1]), np.float32)
            for place, rows in self._where.others:
                total += _gather(self._parents[place], name, rows[start:stop][lacking])
            found[lacking] = total / self._where.counts[start:stop][lacking, None]
        return found

    def _mean(self, name: str) -> Float:
        """The mean of all rows with tokens, shape `(1, cols)`, summed over fixed blocks."""
        with self._lock:
            if name not in self._means:
                tokens = self._where.tokens
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
    present = np.flatnonzero(rows != _ABSENT)
    breaks = np.flatnonzero((np.diff(rows[present]) != 1) | (np.diff(present) != 1)) + 1
    for run in np.split(present, breaks):
        if run.size:
            first = int(rows[run[0]])
            found[run] = parent.rows(_stored(parent, name), first, first + run.size)
    return found
