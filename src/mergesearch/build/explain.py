"""Explaining a tensor of a GGUF by the tensors of the parent that it was converted from.

Nothing is guessed from names alone: an explanation is a list of segments whose values, changed as
the segments say, are those of the GGUF: exactly where it holds floats, within the error of its type
where it is quantized.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import gguf
import numpy as np
import numpy.typing as npt
from gguf import GGMLQuantizationType as Type

from mergesearch._kernels.stored import Float
from mergesearch.gguf import RowChange, Segment
from mergesearch.merge.rows import row_blocks
from mergesearch.quantize import quantize_rows
from mergesearch.quantize.formats import FLOATS

_MOST_SEGMENTS = 4096
_MOST_STARTS = 4
_SHORTEST_VECTOR = 8  # shorter runs of equal elements may be chance
_LARGEST_HEAD = 4096
_LARGEST_CONSTANT = 16


ReadRows = Callable[[int, int], Float]
"""Returns rows `start:stop`, shape `(stop - start, cols)`."""


@dataclass(frozen=True)
class Matrix:
    """Rows to compare, of a GGUF or of a parent; a vector is a matrix of one column.

    Attributes:
        name: Name of the tensor.
        rows: Number of rows.
        cols: Elements of a row.
        read: Function that returns rows.
        kind: Type in the GGUF; F32 in a parent.
    """

    name: str
    rows: int
    cols: int
    read: ReadRows
    kind: Type = Type.F32


def tolerance(kind: Type) -> float:
    """Return the largest error of a quantized row, as a part of its norm.

    Each bit halves the error; a row that is not the one that was quantized is off by about 1.4.
    """
    elements, size = gguf.GGML_QUANT_SIZES[kind]
    return float(2.0 ** (2.0 - 8 * size / elements))


def equal_rows(stored: Float, values: Float, kind: Type) -> npt.NDArray[np.bool_]:
    """Return for each row whether it is what a type makes of the values, shape `(rows,)`."""
    if kind in FLOATS:
        rounded = gguf.dequantize(quantize_rows(values, kind), kind)
        return np.asarray((stored == rounded.reshape(stored.shape)).all(axis=1))
    error = np.linalg.norm(stored - values, axis=1)
    return np.asarray(error <= tolerance(kind) * np.linalg.norm(values, axis=1))


def explanation(target: Matrix, source: Matrix) -> tuple[Segment, ...] | None:
    """Return the segments of one tensor that make another one; None where it does not."""
    if target.cols == source.cols and (segments := joined_rows(target, [source])):
        return segments
    return _with_constant(target, source) or _transposed(target, source)


def joined_rows(target: Matrix, sources: Sequence[Matrix]) -> tuple[Segment, ...] | None:
    """Return segments of several tensors whose rows, one after the other, make one tensor."""
    segments: list[Segment] = []
    place = 0
    shortest = _SHORTEST_VECTOR if target.cols == 1 else 1
    while place < target.rows:
        segment = _longest(target, place, sources, segments[-1:])
        if segment is None or len(segments) == _MOST_SEGMENTS:
            return None
        length = segment.stop - segment.start
        if length < min(shortest, target.rows):
            return None
        segments.append(segment)
        place += length
    return tuple(segments)


def _longest(
    target: Matrix, place: int, sources: Sequence[Matrix], last: Sequence[Segment]
) -> Segment | None:
    """The longest segment that gives the rows of a tensor from a place on."""
    best: Segment | None = None
    for source, start in _starts(target, place, sources, last):
        for together in (1, *_heads(target, place, source, start)):
            change = RowChange(together)
            count = _agreeing(target, place, source, start, change)
            if count and (best is None or count > best.stop - best.start):
                best = Segment(source.name, start, start + count, change)
            if place + count == target.rows:
                return best
    return best


def _starts(
    target: Matrix, place: int, sources: Sequence[Matrix], last: Sequence[Segment]
) -> Iterator[tuple[Matrix, int]]:
    """Rows that equal one of the target: first the likely ones, else all there are."""
    row = target.read(place, place + 1)
    likely = [(source, 0) for source in sources]
    likely += [
        (source, segment.stop)
        for segment in last
        for source in sources
        if source.name == segment.name
    ]
    found = [
        (source, start)
        for source, start in likely
        if start < source.rows and equal_rows(row, source.read(start, start + 1), target.kind)[0]
    ]
    yield from found
    if not found or target.cols == 1:
        most = None if target.cols == 1 else _MOST_STARTS
        yield from islice(_everywhere(target, row, sources), most)


def _everywhere(
    target: Matrix, row: Float, sources: Sequence[Matrix]
) -> Iterator[tuple[Matrix, int]]:
    for source in sources:
        for start, stop in row_blocks(0, source.rows, source.cols):
            values = source.read(start, stop)
            equal = equal_rows(np.broadcast_to(row, values.shape), values, target.kind)
            for place in np.flatnonzero(equal):
                yield source, start + int(place)


def _heads(target: Matrix, place: int, source: Matrix, start: int) -> Iterator[int]:
    """How many rows a head may have: its second stored row is the first of its second half."""
    if place + 1 >= target.rows:
        return
    row = target.read(place + 1, place + 2)
    values = source.read(start, min(start + _LARGEST_HEAD, source.rows))
    same = equal_rows(np.broadcast_to(row, values.shape), values, target.kind)
    for half in np.flatnonzero(same):
        if half > 1:
            yield 2 * int(half)


def _agreeing(target: Matrix, place: int, source: Matrix, start: int, change: RowChange) -> int:
    """How many rows agree from two places on, in whole heads."""
    together = change.together
    most = min(target.rows - place, source.rows - start) // together * together
    for first, stop in row_blocks(0, most, target.cols, together):
        values = change.to_gguf(source.read(start + first, start + stop))
        same = equal_rows(target.read(place + first, place + stop), values, target.kind)
        if not same.all():
            return first + int(same.argmin()) // together * together
    return most


def _with_constant(target: Matrix, source: Matrix) -> tuple[Segment, ...] | None:
    """The whole tensor with a small whole number added, as Gemma's norms have it."""
    if (target.rows, target.cols) != (source.rows, source.cols) or target.kind != Type.F32:
        return None
    added = float(np.round(target.read(0, 1)[0, 0] - source.read(0, 1)[0, 0]))
    if not 0 < abs(added) <= _LARGEST_CONSTANT:
        return None
    change = RowChange(added=added)
    if _agreeing(target, 0, source, 0, change) < target.rows:
        return None
    return (Segment(source.name, 0, source.rows, change),)


def _transposed(target: Matrix, source: Matrix) -> tuple[Segment, ...] | None:
    """The whole tensor with rows and columns exchanged."""
    if (target.rows, target.cols) != (source.cols, source.rows) or target.cols == 1:
        return None
    values = np.ascontiguousarray(source.read(0, source.rows).T)
    if not equal_rows(target.read(0, target.rows), values, target.kind).all():
        return None
    return (Segment(source.name, 0, target.rows, transposed=True),)
