"""A merged model written as GGUF: the header first, then every tensor at its place."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy.typing as npt
from gguf import GGMLQuantizationType as Type

from mergesearch._kernels.stored import Float
from mergesearch.build.contents import Contents
from mergesearch.build.files import (
    OnProgress,
    Piece,
    RunningDigest,
    full_disk_is_build_error,
    write_at,
    write_pieces,
)
from mergesearch.build.label import Label
from mergesearch.errors import RecipeError
from mergesearch.gguf import Segment, StoredTensor
from mergesearch.gguf.pack import PlacedTensor, aligned, packed_header
from mergesearch.merge import MergedModel
from mergesearch.merge.rows import row_blocks
from mergesearch.quantize import MIXES, is_quantized, quantize_rows, row_bytes, tensor_types
from mergesearch.recipe import Quantization


@dataclass(frozen=True)
class FileLayout:
    """Where everything is in a GGUF.

    Attributes:
        header: Bytes before the data.
        constants: Vectors that are stored as they are, by name.
        tensors: Tensors in the order of the file; constants are made of no segments.
        data: Place of the first byte after the header and its padding.
        size: Size of the file in bytes.
    """

    header: bytes
    constants: Mapping[str, Float]
    tensors: Sequence[PlacedTensor]
    data: int
    size: int


class GgufOutput:
    """A GGUF under construction: its pieces in any order, then `close`.

    Args:
        fd: Descriptor of the empty file.
        contents: What the file holds beside the merged values.
        quantization: Types of the tensors.
        label: What the file says of itself; None for a candidate, which says nothing.

    Attributes:
        pieces: Blocks of the file, in its order.

    Raises:
        RecipeError: A type is asked for that no quantized tensor takes.
        CheckpointError: The vocabulary cannot be stored as GGUF.
    """

    def __init__(
        self,
        fd: int,
        merged: MergedModel,
        contents: Contents,
        quantization: Quantization,
        label: Label | None = None,
    ) -> None:
        self._fd, self._label = fd, label
        self._layout_with = partial(file_layout, contents, quantization)
        plain = self._layout_with()
        self._layout = plain if label is None else self._layout_with(label.gguf_keys())
        with full_disk_is_build_error():
            os.pwrite(fd, self._layout.header, 0)
            for tensor in self._layout.tensors:
                if tensor.name in self._layout.constants:
                    constant = self._layout.constants[tensor.name]
                    write_at(fd, constant, self._layout.data + tensor.offset)
            os.ftruncate(fd, self._layout.size)
        pieces = list(_pieces(fd, merged, self._layout))
        self._digest = RunningDigest(fd, pieces, self._layout.data, _before_data(plain))
        self.pieces = [
            replace(piece, write=partial(_write_and_hash, piece.write, self._digest, number))
            for number, piece in enumerate(pieces)
        ]

    def close(self) -> tuple[int, str]:
        """Return the size of the finished file in bytes, and the SHA-256 (hex) of the candidate.

        That is the file's own where it has no label; else that of the same file without it, which
        is written into the label.
        """
        digest = self._digest.hexdigest(self._layout.size)
        if self._label is not None:
            os.pwrite(self._fd, self._layout_with(self._label.gguf_keys(digest)).header, 0)
        return self._layout.size, digest


def write_gguf(
    fd: int,
    merged: MergedModel,
    contents: Contents,
    quantization: Quantization,
    threads: int | None,
    on_progress: OnProgress | None = None,
) -> tuple[int, str]:
    """Write a whole candidate and return its size in bytes and its SHA-256 (hex)."""
    output = GgufOutput(fd, merged, contents, quantization)
    write_pieces(output.pieces, threads, merged.stopping, on_progress)
    return output.close()


def _before_data(layout: FileLayout) -> bytes:
    return layout.header.ljust(layout.data, b"\0")


def file_layout(
    contents: Contents, quantization: Quantization, label: Mapping[str, Any] | None = None
) -> FileLayout:
    """Return where everything is in a file.

    Args:
        contents: What the file holds beside the merged values.
        quantization: Types of the tensors.
        label: Further keys, which take the place of keys of the same name.

    Raises:
        RecipeError: A type is asked for that no quantized tensor takes.
        CheckpointError: The vocabulary cannot be stored as GGUF.
    """
    types = _types(contents, quantization)
    constants = [StoredTensor(name, own.shape, ()) for name, own in contents.constants.items()]
    tensors, size = [], 0
    for tensor in (*constants, *contents.tensors):
        kind = types.get(tensor.name, Type.F32)
        tensors.append(PlacedTensor(tensor.name, tensor.shape, tensor.segments, kind, size))
        size += aligned(math.prod(tensor.shape[:-1]) * row_bytes(kind, tensor.shape[-1]))
    metadata = contents.metadata(MIXES[quantization.mix].file_type, label or {})
    header = packed_header(metadata, tensors)
    data = aligned(len(header))
    return FileLayout(header, contents.constants, tensors, data, data + size)


def _types(contents: Contents, quantization: Quantization) -> dict[str, Type]:
    """The type of every merged tensor.

    Raises:
        RecipeError: A type is asked for that no quantized tensor takes.
    """
    shapes = {tensor.name: tensor.shape for tensor in contents.tensors}
    overrides = {pattern: Type[kind] for pattern, kind in quantization.tensors.items()}
    quantized = [name for name, shape in shapes.items() if is_quantized(name, shape)]
    for pattern in overrides:
        if not any(re.search(pattern, name) for name in quantized):
            raise RecipeError(
                f"{pattern!r} matches the name of no quantized tensor",
                where="quantize.tensors",
                expected="a part of a GGUF name, such as attn_v or blk.0.ffn_down",
            )
    return tensor_types(quantization.mix, shapes, contents.traits, overrides)


def _pieces(fd: int, merged: MergedModel, layout: FileLayout) -> Iterator[Piece]:
    """Every block of rows, in file order."""
    for tensor in layout.tensors:
        offset = layout.data + tensor.offset
        for segment in tensor.segments:
            for block in blocks_of_segment(segment, tensor):
                name, start, stop = _merged_rows(block, tensor)
                yield Piece(
                    (name, start),
                    offset,
                    partial(_write_rows, fd, merged, block, tensor, offset),
                    partial(merged.read_ahead, name, start, stop),
                )
                offset += (block.stop - block.start) * tensor.pitch


def _write_and_hash(write: Callable[[], None], digest: RunningDigest, number: int) -> None:
    write()
    digest.finished(number)


def _merged_rows(segment: Segment, tensor: StoredTensor) -> tuple[str, int, int]:
    """The merged tensor of a segment and its rows: the first, and one after the last."""
    if tensor.is_vector:
        return segment.name, 0, 1
    return segment.name, segment.start, segment.stop


def blocks_of_segment(segment: Segment, tensor: StoredTensor) -> Iterator[Segment]:
    """Cut a segment into blocks of whole heads; a vector, or what is transposed, stays whole."""
    if tensor.is_vector or segment.transposed:
        yield segment
        return
    together = segment.change.together
    for start, stop in row_blocks(segment.start, segment.stop, tensor.cols, together):
        yield replace(segment, start=start, stop=stop)


def _write_rows(
    fd: int, merged: MergedModel, block: Segment, tensor: PlacedTensor, offset: int
) -> None:
    write_at(fd, stored_rows(merged, block, tensor), offset)


def stored_rows(merged: MergedModel, block: Segment, tensor: PlacedTensor) -> npt.NDArray[Any]:
    """Merge and quantize a block of a tensor: its rows as the file holds them."""
    if tensor.is_vector or block.transposed or block.change.of_values:
        values = block.change.to_gguf(_values(merged, block, tensor))
        return quantize_rows(values, tensor.kind)
    # Rows are quantized one by one, so that their order may change afterwards.
    quantized = merged.rows_as(block.name, block.start, block.stop, tensor.kind)
    return block.change.to_gguf(quantized)


def _values(merged: MergedModel, block: Segment, tensor: StoredTensor) -> Float:
    """What a block takes from the merge, before its rows are changed."""
    if tensor.is_vector:
        return merged.rows(block.name, 0, 1)[:, block.start : block.stop]
    if block.transposed:
        return merged.rows(block.name, 0, tensor.cols).T
    return merged.rows(block.name, block.start, block.stop)
