"""A merged model written as GGUF: the header first, then every tensor at its place."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from gguf import GGMLQuantizationType as Type

from mergesearch.build.contents import Contents
from mergesearch.build.files import (
    Piece,
    RunningDigest,
    full_disk_is_build_error,
    run,
    write_at,
)
from mergesearch.errors import RecipeError
from mergesearch.gguf import Segment, StoredTensor
from mergesearch.gguf.pack import TensorHeader, aligned, packed_header
from mergesearch.merge import MergedModel
from mergesearch.merge.rows import rows_per_block
from mergesearch.quantize import MIXES, is_quantized, quantize_rows, row_bytes, tensor_types
from mergesearch.recipe import Quantization


@dataclass(frozen=True)
class PlacedTensor(StoredTensor):
    """A tensor of the output file.

    Attributes:
        kind: Type of its rows.
        offset: Place of its first byte in the file.
    """

    kind: Type
    offset: int

    @property
    def pitch(self) -> int:
        """Bytes of one row, or of one element of a vector."""
        return row_bytes(self.kind, self.cols)


@dataclass(frozen=True)
class FileLayout:
    """Where everything is in a GGUF.

    Attributes:
        header: Bytes before the data.
        constants: Vectors that are stored as they are, by the place of their first byte.
        tensors: Merged tensors in the order of the file.
        size: Size of the file in bytes.
    """

    header: bytes
    constants: Mapping[int, npt.NDArray[np.float32]]
    tensors: Sequence[PlacedTensor]
    size: int


def write_gguf(
    fd: int,
    merged: MergedModel,
    contents: Contents,
    quantization: Quantization,
    threads: int | None,
) -> tuple[int, str]:
    """Write the whole file and return its size in bytes and its SHA-256 (hex)."""
    layout = file_layout(contents, quantization)
    with full_disk_is_build_error():
        os.pwrite(fd, layout.header, 0)
        for place, values in layout.constants.items():
            write_at(fd, values, place)
        os.ftruncate(fd, layout.size)
        pieces = list(_pieces(fd, merged, layout.tensors))
        digest = RunningDigest(fd, pieces)
        run(pieces, threads, merged.stopping, digest.finished)
    return layout.size, digest.hexdigest(layout.size)


def file_layout(contents: Contents, quantization: Quantization) -> FileLayout:
    """Return where everything is in a file.

    Raises:
        RecipeError: A type is asked for that no quantized tensor takes.
        CheckpointError: The vocabulary cannot be stored as GGUF.
    """
    types = _types(contents, quantization)
    shapes = {name: values.shape for name, values in contents.constants.items()}
    shapes |= {tensor.name: tensor.shape for tensor in contents.tensors}
    headers, offset = [], 0
    for name, shape in shapes.items():
        kind = types.get(name, Type.F32)
        headers.append(TensorHeader(name, shape, kind, offset))
        offset += aligned(math.prod(shape[:-1]) * row_bytes(kind, shape[-1]))
    header = packed_header(contents.metadata(MIXES[quantization.mix].file_type), headers)
    data = aligned(len(header))
    places = {tensor.name: data + tensor.offset for tensor in headers}
    return FileLayout(
        header,
        {places[name]: values for name, values in contents.constants.items()},
        [
            PlacedTensor(
                tensor.name, tensor.shape, tensor.segments, types[tensor.name], places[tensor.name]
            )
            for tensor in contents.tensors
        ],
        data + offset,
    )


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
                f"{pattern!r} is found in the name of no tensor that is quantized",
                where="quantize.tensors",
                expected="a part of a GGUF name, such as attn_v or blk.0.ffn_down",
            )
    return tensor_types(quantization.mix, shapes, contents.traits, overrides)


def _pieces(fd: int, merged: MergedModel, tensors: Sequence[PlacedTensor]) -> Iterator[Piece]:
    """Every block of rows, in file order."""
    for tensor in tensors:
        offset = tensor.offset
        for segment in tensor.segments:
            for block in blocks_of_segment(segment, tensor):
                yield Piece(
                    offset,
                    partial(_write_rows, fd, merged, block, tensor, offset),
                    partial(merged.read_ahead, *_merged_rows(block, tensor)),
                )
                offset += (block.stop - block.start) * tensor.pitch


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
    step = rows_per_block(tensor.cols, segment.change.together)
    for start in range(segment.start, segment.stop, step):
        yield replace(segment, start=start, stop=min(start + step, segment.stop))


def _write_rows(
    fd: int, merged: MergedModel, block: Segment, tensor: PlacedTensor, offset: int
) -> None:
    write_at(fd, stored_rows(merged, block, tensor), offset)


def stored_rows(merged: MergedModel, block: Segment, tensor: PlacedTensor) -> npt.NDArray[Any]:
    """Merge and quantize a block of a tensor: its rows as the file holds them."""
    if tensor.is_vector or block.transposed or block.change.added:
        values = block.change.to_gguf(_values(merged, block, tensor))
        return quantize_rows(values, tensor.kind)
    # Rows are quantized one by one, so that their order may change afterwards.
    quantized = merged.rows_as(block.name, block.start, block.stop, tensor.kind)
    return block.change.to_gguf(quantized)


def _values(merged: MergedModel, block: Segment, tensor: StoredTensor) -> npt.NDArray[np.float32]:
    """What a block takes from the merge, before its rows are changed."""
    if tensor.is_vector:
        return merged.rows(block.name, 0, 1)[:, block.start : block.stop]
    if block.transposed:
        return merged.rows(block.name, 0, tensor.cols).T
    return merged.rows(block.name, block.start, block.stop)
