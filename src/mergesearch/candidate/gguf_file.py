"""A merge plan written as GGUF: the header first, then every tensor at its place."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import gguf
import numpy as np
from gguf.gguf_writer import WriterState

from mergesearch.candidate.contents import Contents, built_in_contents
from mergesearch.candidate.files import (
    file_digest,
    full_disk_is_build_error,
    run,
    write_at,
)
from mergesearch.candidate.template import Template
from mergesearch.checkpoint import Checkpoint
from mergesearch.errors import RecipeError
from mergesearch.gguf_layout import Piece, StoredTensor
from mergesearch.merge import MergePlan, plan_merge
from mergesearch.merge.plan import rows_per_block
from mergesearch.quantize import MIXES, is_quantized, quantize_rows, row_bytes, tensor_types
from mergesearch.recipe import Quantization, Recipe


@dataclass(frozen=True)
class _Stored:
    """A tensor of the output file, its type and its place."""

    tensor: StoredTensor
    kind: gguf.GGMLQuantizationType
    offset: int

    @property
    def pitch(self) -> int:
        """Bytes of one row, or of one element of a vector."""
        return row_bytes(self.kind, self.tensor.cols)

    @property
    def size(self) -> int:
        return self.tensor.rows * self.pitch


def write_gguf(
    fd: int,
    recipe: Recipe,
    parents: Mapping[str, Checkpoint],
    quantization: Quantization,
    threads: int | None,
    template: Template | None = None,
) -> tuple[int, str]:
    """Write the whole file and return its size and digest."""
    plan = plan_merge(recipe, parents)
    contents = built_in_contents(recipe, plan) if template is None else template.contents(plan)
    header, data, stored = _gguf_header(contents, quantization)
    with full_disk_is_build_error():
        os.pwrite(fd, header, 0)
        place = data
        for values in contents.constants.values():
            write_at(fd, values, place)
            place += aligned(values.nbytes)
        end = max((one.offset + one.size for one in stored), default=place)
        os.ftruncate(fd, aligned(end))
        run(_gguf_pieces(fd, plan, stored), threads)
    return aligned(end), file_digest(fd)


def _gguf_header(
    contents: Contents, quantization: Quantization
) -> tuple[bytes, int, list[_Stored]]:
    """The bytes before the data, where the data begins, and every merged tensor's place."""
    writer = gguf.GGUFWriter(None, contents.arch)
    contents.add_metadata(writer, MIXES[quantization.mix].file_type)
    relative = 0
    for name, values in contents.constants.items():
        writer.add_tensor_info(name, values.shape, values.dtype, values.nbytes)
        relative += aligned(values.nbytes)
    stored = []
    for one in _typed(contents, quantization):
        tensor = one.tensor
        writer.add_tensor_info(
            tensor.name, tensor.shape, np.dtype(np.float32), one.size, raw_dtype=one.kind
        )
        stored.append(replace(one, offset=relative))
        relative += aligned(one.size)
    buffer = io.BytesIO()
    writer.fout, writer.state = [buffer], WriterState.EMPTY
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    header = buffer.getvalue()
    data = aligned(len(header))
    return header, data, [replace(one, offset=data + one.offset) for one in stored]


def _typed(contents: Contents, quantization: Quantization) -> Iterator[_Stored]:
    """Every tensor with its type, still without a place."""
    shapes = {one.name: one.shape for one in contents.tensors}
    overrides = _overrides(quantization, shapes)
    types = tensor_types(quantization.mix, shapes, contents.model, overrides)
    for one in contents.tensors:
        yield _Stored(one, types[one.name], 0)


def _overrides(
    quantization: Quantization, shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, gguf.GGMLQuantizationType]:
    """The types of single tensors that a recipe asks for.

    Raises:
        RecipeError: one that no quantized tensor takes.
    """
    overrides = {one: gguf.GGMLQuantizationType[kind] for one, kind in quantization.tensors.items()}
    quantized = [name for name, shape in shapes.items() if is_quantized(name, shape)]
    for expression in overrides:
        if not any(re.search(expression, name) for name in quantized):
            raise RecipeError(
                f"{expression!r} is found in the name of no tensor that is quantized",
                where="quantize.tensors",
                expected="a part of a GGUF name, such as attn_v or blk.0.ffn_down",
            )
    return overrides


def _gguf_pieces(
    fd: int, plan: MergePlan, stored: Sequence[_Stored]
) -> Iterator[Callable[[], None]]:
    """The work of every block of rows, in file order."""
    for one in stored:
        offset = one.offset
        for piece in one.tensor.pieces:
            whole = one.tensor.is_vector or piece.transposed
            step = rows_per_block(one.tensor.cols, piece.change.together)
            step = piece.stop - piece.start if whole else step
            for start in range(piece.start, piece.stop, step):
                part = replace(piece, start=start, stop=min(start + step, piece.stop))
                yield partial(_write_rows, fd, plan, part, one, offset)
                offset += (part.stop - part.start) * one.pitch


def _write_rows(fd: int, plan: MergePlan, piece: Piece, one: _Stored, offset: int) -> None:
    if one.tensor.is_vector:
        block = plan.finite_block(piece.name, 0, 1)[:, piece.start : piece.stop]
    elif piece.transposed:
        block = plan.finite_block(piece.name, 0, one.tensor.cols).T
    else:
        block = plan.finite_block(piece.name, piece.start, piece.stop)
    write_at(fd, quantize_rows(piece.change.to_gguf(block), one.kind), offset)


def aligned(size: int) -> int:
    """Round up to the alignment of tensors in a GGUF."""
    return -(-size // gguf.GGUF_DEFAULT_ALIGNMENT) * gguf.GGUF_DEFAULT_ALIGNMENT
