"""A merge plan written as GGUF: the header first, then every tensor at its place."""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial

import gguf
import numpy as np
import numpy.typing as npt
from gguf import GGMLQuantizationType as Type
from gguf.gguf_writer import WriterState

from mergesearch.candidate.files import (
    Piece,
    RunningDigest,
    full_disk_is_build_error,
    row_blocks,
    run,
    write_at,
)
from mergesearch.checkpoint import Checkpoint
from mergesearch.errors import CheckpointError
from mergesearch.gguf_layout import (
    ROPE_FACTORS,
    add_model_metadata,
    gguf_names,
    layer_of,
    rope_factors,
    rows_together,
    to_gguf_rows,
)
from mergesearch.gguf_vocab import read_vocabulary
from mergesearch.merge import MergePlan, PlannedTensor, plan_merge
from mergesearch.quantize import MIXES, row_bytes, tensor_type
from mergesearch.quantize.mix import Model
from mergesearch.recipe import Recipe
from mergesearch.tokenizer import Tokenizer


@dataclass(frozen=True)
class _Stored:
    """A tensor of the output file: what it is made from, its type and its place."""

    tensor: PlannedTensor
    name: str
    kind: Type
    together: int
    offset: int

    @property
    def size(self) -> int:
        return self.tensor.rows * row_bytes(self.kind, self.tensor.cols)


def write_gguf(
    fd: int,
    recipe: Recipe,
    parents: Mapping[str, Checkpoint],
    mix: str,
    threads: int | None,
) -> tuple[int, str]:
    """Write the whole file and return its size and digest."""
    plan = plan_merge(recipe, parents)
    factors = rope_factors(plan.layout, plan.config)
    header, data, stored = _gguf_header(recipe, plan, mix, factors)
    with full_disk_is_build_error():
        os.pwrite(fd, header, 0)
        if factors is not None:
            os.pwrite(fd, factors.tobytes(), data)
        end = max((one.offset + one.size for one in stored), default=data)
        os.ftruncate(fd, aligned(end))
        pieces = list(_gguf_pieces(fd, plan, stored))
        digest = RunningDigest(fd, pieces)
        run(pieces, threads, digest.finished)
    return aligned(end), digest.hexdigest(aligned(end))


def _gguf_header(
    recipe: Recipe,
    plan: MergePlan,
    mix: str,
    factors: npt.NDArray[np.float32] | None,
) -> tuple[bytes, int, list[_Stored]]:
    """The bytes before the data, where the data begins, and every tensor's place."""
    if plan.tokenizer is None:
        raise CheckpointError(
            "the parent that gives the tokenizer has no tokenizer.json",
            where=recipe.base_model or recipe.named()[0],
            fix="name a parent that has one: tokenizer_source",
        )
    arch = gguf.MODEL_ARCH_NAMES[plan.layout.arch]
    model = gguf.GGUFWriter(None, arch)
    add_model_metadata(model, plan.layout, plan.config, plan.tokenizer.generation)
    kind = _without_keys(arch)
    kind.add_quantization_version(gguf.GGML_QUANT_VERSION)
    kind.add_file_type(MIXES[mix].file_type)
    sections = [
        _packed_keys(model),
        _packed_vocabulary(plan.tokenizer, plan.layout.vocab_rows),
        _packed_keys(kind),
    ]
    writer = _without_keys(arch)
    if factors is not None:
        writer.add_tensor_info(ROPE_FACTORS, factors.shape, factors.dtype, factors.nbytes)
    relative = 0 if factors is None else aligned(factors.nbytes)
    stored = []
    for one in _typed(plan, mix):
        writer.add_tensor_info(
            one.name, one.tensor.shape, np.dtype(np.float32), one.size, raw_dtype=one.kind
        )
        stored.append(replace(one, offset=relative))
        relative += aligned(one.size)
    counts = (len(writer.tensors[0]), sum(count for count, _ in sections))
    header = struct.pack("<IIQQ", gguf.GGUF_MAGIC, gguf.GGUF_VERSION, *counts)
    header += b"".join(keys for _, keys in sections) + _packed_tensors(writer)
    data = aligned(len(header))
    return header, data, [replace(one, offset=data + one.offset) for one in stored]


@lru_cache(maxsize=4)
def _packed_vocabulary(tokenizer: Tokenizer, rows: int) -> tuple[int, bytes]:
    """A vocabulary's keys, packed once for all candidates: it takes longer than all the rest."""
    writer = _without_keys("")
    read_vocabulary(tokenizer, rows).add_to(writer)
    return _packed_keys(writer)


def _without_keys(arch: str) -> gguf.GGUFWriter:
    """A writer that has not even the key of the architecture, which a new one has."""
    writer = gguf.GGUFWriter(None, arch)
    writer.kv_data[0].clear()
    return writer


def _packed_keys(writer: gguf.GGUFWriter) -> tuple[int, bytes]:
    """How many keys were added to a writer, and their bytes in a GGUF."""
    buffer = io.BytesIO()
    writer.fout, writer.state = [buffer], WriterState.HEADER
    writer.write_kv_data_to_file()
    return len(writer.kv_data[0]), buffer.getvalue()


def _packed_tensors(writer: gguf.GGUFWriter) -> bytes:
    """The bytes in a GGUF of the tensors' names, shapes, types and places."""
    buffer = io.BytesIO()
    writer.fout, writer.state = [buffer], WriterState.KV_DATA
    writer.write_ti_data_to_file()
    return buffer.getvalue()


def _typed(plan: MergePlan, mix: str) -> Iterator[_Stored]:
    """Every tensor with its GGUF name and type, still without a place."""
    layout = plan.layout
    grouped = layout.arch == gguf.MODEL_ARCH.QWEN2 or layout.n_heads != layout.n_kv_heads
    model = Model(layout.n_layers, layout.tied, layout.n_layers == 80 and grouped)
    names = gguf_names(layout)
    for tensor in plan.tensors:
        name = names[tensor.name]
        kind = tensor_type(mix, name, tensor.shape, layer_of(name), model)
        yield _Stored(tensor, name, kind, rows_together(layout, tensor.name), 0)


def _gguf_pieces(fd: int, plan: MergePlan, stored: Sequence[_Stored]) -> Iterator[Piece]:
    """Every block of rows, in file order."""
    for one in stored:
        pitch = row_bytes(one.kind, one.tensor.cols)
        for start, stop in row_blocks(one.tensor, one.together):
            offset = one.offset + start * pitch
            yield Piece(
                offset,
                partial(_write_rows, fd, plan, one, start, stop, offset),
                partial(plan.read_ahead, one.tensor.name, start, stop),
            )


def _write_rows(fd: int, plan: MergePlan, one: _Stored, start: int, stop: int, offset: int) -> None:
    # Rows are quantized one by one, so that their order may change afterwards.
    blocks = plan.blocks(one.tensor.name, start, stop, one.kind)
    rows = blocks.view(np.float32) if one.kind == Type.F32 else blocks
    write_at(fd, to_gguf_rows(rows, one.together), offset)


def aligned(size: int) -> int:
    """Round up to the alignment of tensors in a GGUF."""
    return -(-size // gguf.GGUF_DEFAULT_ALIGNMENT) * gguf.GGUF_DEFAULT_ALIGNMENT
