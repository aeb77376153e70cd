"""A merge plan written as GGUF: the header first, then every tensor at its place."""

from __future__ import annotations

import io
import math
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import gguf
import numpy as np
import numpy.typing as npt
from gguf.gguf_writer import WriterState

from mergesearch.candidate.files import (
    file_digest,
    full_disk_is_build_error,
    run,
    write_at,
)
from mergesearch.checkpoint import Checkpoint
from mergesearch.errors import CheckpointError, RecipeError
from mergesearch.gguf_layout import (
    Piece,
    StoredTensor,
    add_model_metadata,
    extra_tensors,
    gguf_tensors,
)
from mergesearch.gguf_vocab import read_vocabulary
from mergesearch.merge import MergePlan, plan_merge
from mergesearch.merge.plan import rows_per_block
from mergesearch.quantize import MIXES, is_quantized, quantize_rows, row_bytes, tensor_types
from mergesearch.quantize.mix import Model
from mergesearch.recipe import Quantization, Recipe


@dataclass(frozen=True)
class _Stored:
    """A tensor of the output file, its type and its place."""

    tensor: StoredTensor
    kind: gguf.GGMLQuantizationType
    offset: int

    @property
    def pitch(self) -> int:
        """Bytes of one row."""
        return row_bytes(self.kind, self.tensor.cols)

    @property
    def size(self) -> int:
        return math.prod(self.tensor.shape[:-1]) * self.pitch


def write_gguf(
    fd: int,
    recipe: Recipe,
    parents: Mapping[str, Checkpoint],
    quantization: Quantization,
    threads: int | None,
) -> tuple[int, str]:
    """Write the whole file and return its size and digest."""
    plan = plan_merge(recipe, parents)
    extra = extra_tensors(plan.layout, plan.config)
    header, data, stored = _gguf_header(recipe, plan, quantization, extra)
    with full_disk_is_build_error():
        os.pwrite(fd, header, 0)
        place = data
        for values in extra.values():
            write_at(fd, values, place)
            place += aligned(values.nbytes)
        end = max((one.offset + one.size for one in stored), default=place)
        os.ftruncate(fd, aligned(end))
        run(_gguf_pieces(fd, plan, stored), threads)
    return aligned(end), file_digest(fd)


def _gguf_header(
    recipe: Recipe,
    plan: MergePlan,
    quantization: Quantization,
    extra: Mapping[str, npt.NDArray[np.float32]],
) -> tuple[bytes, int, list[_Stored]]:
    """The bytes before the data, where the data begins, and every merged tensor's place."""
    if plan.tokenizer is None:
        raise CheckpointError(
            "the parent that gives the tokenizer has no tokenizer.json",
            where=recipe.base_model or recipe.named()[0],
            fix="name a parent that has one: tokenizer_source",
        )
    writer = gguf.GGUFWriter(None, gguf.MODEL_ARCH_NAMES[plan.layout.arch])
    add_model_metadata(writer, plan.layout, plan.config, plan.tokenizer.generation)
    read_vocabulary(plan.tokenizer, plan.layout.vocab_rows).add_to(writer)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_file_type(MIXES[quantization.mix].file_type)
    relative = 0
    for name, values in extra.items():
        writer.add_tensor_info(name, values.shape, values.dtype, values.nbytes)
        relative += aligned(values.nbytes)
    stored = []
    for one in _typed(plan, quantization):
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


def _typed(plan: MergePlan, quantization: Quantization) -> Iterator[_Stored]:
    """Every tensor with its type, still without a place."""
    layout = plan.layout
    tensors = gguf_tensors(layout)
    shapes = {one.name: one.shape for one in tensors}
    model = Model(layout.n_layers, wide_groups=layout.wide_groups)
    types = tensor_types(quantization.mix, shapes, model, _overrides(quantization, shapes))
    for one in tensors:
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
            step = rows_per_block(one.tensor.cols, piece.change.together)
            for start in range(piece.start, piece.stop, step):
                stop = min(start + step, piece.stop)
                yield partial(_write_rows, fd, plan, piece, start, stop, one.kind, offset)
                offset += (stop - start) * one.pitch


def _write_rows(
    fd: int,
    plan: MergePlan,
    piece: Piece,
    start: int,
    stop: int,
    kind: gguf.GGMLQuantizationType,
    offset: int,
) -> None:
    block = plan.finite_block(piece.name, start, stop)
    write_at(fd, quantize_rows(piece.change.to_gguf(block), kind), offset)


def aligned(size: int) -> int:
    """Round up to the alignment of tensors in a GGUF."""
    return -(-size // gguf.GGUF_DEFAULT_ALIGNMENT) * gguf.GGUF_DEFAULT_ALIGNMENT
