"""A merge plan written as GGUF: the header first, then every tensor at its place."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import gguf
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
from mergesearch.gguf import Part, StoredTensor
from mergesearch.gguf.pack import packed_header, writer_without_keys
from mergesearch.merge import MergePlan
from mergesearch.merge.plan import rows_per_block
from mergesearch.quantize import MIXES, is_quantized, quantize_rows, row_bytes, tensor_types
from mergesearch.recipe import Quantization


@dataclass(frozen=True)
class TypedTensor:
    """A tensor of the output file, its type and its place."""

    tensor: StoredTensor
    kind: Type
    offset: int

    @property
    def pitch(self) -> int:
        """Bytes of one row, or of one element of a vector."""
        return row_bytes(self.kind, self.tensor.cols)

    @property
    def size(self) -> int:
        """Bytes of the tensor."""
        return self.tensor.rows * self.pitch


def write_gguf(
    fd: int, plan: MergePlan, contents: Contents, quantization: Quantization, threads: int | None
) -> tuple[int, str]:
    """Write the whole file and return its size in bytes and its SHA-256 (hex)."""
    header, stored, size = file_layout(contents, quantization)
    with full_disk_is_build_error():
        os.pwrite(fd, header, 0)
        place = aligned(len(header))
        for values in contents.constants.values():
            write_at(fd, values, place)
            place += aligned(values.nbytes)
        os.ftruncate(fd, size)
        pieces = list(_gguf_pieces(fd, plan, stored))
        digest = RunningDigest(fd, pieces)
        run(pieces, threads, digest.finished)
    return size, digest.hexdigest(size)


def file_layout(
    contents: Contents, quantization: Quantization
) -> tuple[bytes, list[TypedTensor], int]:
    """Return the bytes before the data, every merged tensor at its place, and the file's size.

    Raises:
        RecipeError: as `typed_tensors`.
        CheckpointError: the vocabulary cannot be stored as GGUF.
    """
    writer = writer_without_keys(contents.arch)
    relative = 0
    for name, values in contents.constants.items():
        writer.add_tensor_info(name, values.shape, values.dtype, values.nbytes)
        relative += aligned(values.nbytes)
    stored = []
    for one in typed_tensors(contents, quantization):
        tensor = one.tensor
        writer.add_tensor_info(
            tensor.name, tensor.shape, np.dtype(np.float32), one.size, raw_dtype=one.kind
        )
        stored.append(replace(one, offset=relative))
        relative += aligned(one.size)
    header = packed_header(contents.keys(MIXES[quantization.mix].file_type), writer)
    data = aligned(len(header))
    placed = [replace(one, offset=data + one.offset) for one in stored]
    return header, placed, data + relative


def typed_tensors(contents: Contents, quantization: Quantization) -> Iterator[TypedTensor]:
    """Every tensor with its type, still without a place.

    Raises:
        RecipeError: a type is asked for that no quantized tensor takes.
    """
    shapes = {one.name: one.shape for one in contents.tensors}
    overrides = _overrides(quantization, shapes)
    types = tensor_types(quantization.mix, shapes, contents.model, overrides)
    for one in contents.tensors:
        yield TypedTensor(one, types[one.name], 0)


def _overrides(
    quantization: Quantization, shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, Type]:
    """The types of single tensors that a recipe asks for.

    Raises:
        RecipeError: one that no quantized tensor takes.
    """
    overrides = {one: Type[kind] for one, kind in quantization.tensors.items()}
    quantized = [name for name, shape in shapes.items() if is_quantized(name, shape)]
    for expression in overrides:
        if not any(re.search(expression, name) for name in quantized):
            raise RecipeError(
                f"{expression!r} is found in the name of no tensor that is quantized",
                where="quantize.tensors",
                expected="a part of a GGUF name, such as attn_v or blk.0.ffn_down",
            )
    return overrides


def _gguf_pieces(fd: int, plan: MergePlan, stored: Sequence[TypedTensor]) -> Iterator[Piece]:
    """Every block of rows, in file order."""
    for one in stored:
        offset = one.offset
        for whole in one.tensor.parts:
            for part in blocks_of_part(whole, one.tensor):
                yield Piece(
                    offset,
                    partial(_write_rows, fd, plan, part, one, offset),
                    partial(plan.read_ahead, *merged_rows(part, one.tensor)),
                )
                offset += (part.stop - part.start) * one.pitch


def merged_rows(part: Part, tensor: StoredTensor) -> tuple[str, int, int]:
    """Return the merged tensor of a part and its rows: the first, and one after the last."""
    return (part.name, 0, 1) if tensor.is_vector else (part.name, part.start, part.stop)


def blocks_of_part(part: Part, tensor: StoredTensor) -> Iterator[Part]:
    """Cut a part into blocks of whole heads; a vector, or what is transposed, stays whole."""
    if tensor.is_vector or part.transposed:
        yield part
        return
    step = rows_per_block(tensor.cols, part.change.together)
    for start in range(part.start, part.stop, step):
        yield replace(part, start=start, stop=min(start + step, part.stop))


def _write_rows(fd: int, plan: MergePlan, part: Part, one: TypedTensor, offset: int) -> None:
    write_at(fd, stored_rows(plan, part, one), offset)


def stored_rows(plan: MergePlan, part: Part, one: TypedTensor) -> npt.NDArray[Any]:
    """Merge and quantize a block of a tensor: its rows as they stand in the file."""
    if one.tensor.is_vector or part.transposed or part.change.added:
        values = part.change.to_gguf(_values(plan, part, one.tensor))
        return quantize_rows(values, one.kind)
    # Rows are quantized one by one, so that their order may change afterwards.
    blocks = plan.rows_as(part.name, part.start, part.stop, one.kind)
    return part.change.to_gguf(blocks)


def _values(plan: MergePlan, part: Part, tensor: StoredTensor) -> npt.NDArray[np.float32]:
    """What a part takes from the merge, before its rows are changed."""
    if tensor.is_vector:
        return plan.rows(part.name, 0, 1)[:, part.start : part.stop]
    if part.transposed:
        return plan.rows(part.name, 0, tensor.cols).T
    return plan.rows(part.name, part.start, part.stop)


def aligned(size: int) -> int:
    """Round up to the alignment of tensors in a GGUF."""
    return -(-size // gguf.GGUF_DEFAULT_ALIGNMENT) * gguf.GGUF_DEFAULT_ALIGNMENT
