"""A merged model written as a Hugging Face folder: safetensors shards, config and tokenizer."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGMLQuantizationType as Type

from mergesearch._system.files import write_json
from mergesearch.build.files import Piece, full_disk_is_build_error, write_at
from mergesearch.build.label import Label
from mergesearch.errors import BuildError
from mergesearch.merge import MergedModel, PlannedTensor
from mergesearch.merge.rows import row_blocks
from mergesearch.quantize.formats import FLOAT_TYPES, FloatType
from mergesearch.vocabulary import write_tokenizer

SHARD_BYTES = 4_000_000_000


@contextmanager
def open_shards(
    folder: Path, merged: MergedModel, dtype: str, label: Label | None = None
) -> Iterator[list[list[Piece]]]:
    """Open the shards of a merged model in an empty folder; yields the pieces of each.

    Config, tokenizer and the index of the shards are written at once; see `Workshop.safetensors`.

    Args:
        folder: Folder to write into.
        dtype: Type of the stored values.
        label: What the files say of themselves; None for nothing.
    """
    kind = FLOAT_TYPES[dtype]
    shards = _shards(merged, kind.size)
    names = ["model.safetensors"]
    if len(shards) > 1:
        names = [
            f"model-{number:05d}-of-{len(shards):05d}.safetensors"
            for number in range(1, len(shards) + 1)
        ]
        places = {
            tensor.name: name
            for name, tensors in zip(names, shards, strict=True)
            for tensor in tensors
        }
        size = sum(tensor.rows * tensor.cols for tensor in merged.tensors.values()) * kind.size
        index = {"metadata": {"total_size": size}, "weight_map": places}
        write_json(folder / "model.safetensors.index.json", index)
    config = {**merged.config, "dtype": dtype, "torch_dtype": dtype}
    write_json(folder / "config.json", config)
    if merged.tokenizer is not None:
        write_tokenizer(merged.tokenizer, folder)
    metadata = {"format": "pt"} | ({} if label is None else label.origin())
    with ExitStack() as stack:
        yield [
            stack.enter_context(_open_shard(folder / name, merged, tensors, kind, metadata))
            for name, tensors in zip(names, shards, strict=True)
        ]


@contextmanager
def _open_shard(
    path: Path,
    merged: MergedModel,
    tensors: Sequence[PlannedTensor],
    dtype: FloatType,
    metadata: Mapping[str, str],
) -> Iterator[list[Piece]]:
    header = _header(tensors, dtype, metadata)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    try:
        with full_disk_is_build_error():
            os.pwrite(fd, header, 0)
        yield list(_pieces(fd, merged, tensors, dtype, len(header)))
    finally:
        os.close(fd)


def _shards(merged: MergedModel, item: int) -> list[list[PlannedTensor]]:
    """The tensors, in order, in groups of at most `SHARD_BYTES`."""
    shards: list[list[PlannedTensor]] = [[]]
    size = 0
    for tensor in merged.tensors.values():
        own = tensor.rows * tensor.cols * item
        if shards[-1] and size + own > SHARD_BYTES:
            shards.append([])
            size = 0
        shards[-1].append(tensor)
        size += own
    return shards


def _header(
    tensors: Sequence[PlannedTensor], dtype: FloatType, metadata: Mapping[str, str]
) -> bytes:
    """The bytes of a safetensors file before its data."""
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    place = 0
    for tensor in tensors:
        end = place + tensor.rows * tensor.cols * dtype.size
        header[tensor.name] = {
            "dtype": dtype.type.name,
            "shape": list(tensor.shape),
            "data_offsets": [place, end],
        }
        place = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _pieces(
    fd: int, merged: MergedModel, tensors: Sequence[PlannedTensor], dtype: FloatType, data: int
) -> Iterator[Piece]:
    """Every block of rows, in file order; `data` is the place of the first byte."""
    for tensor in tensors:
        pitch = tensor.cols * dtype.size
        for start, stop in row_blocks(0, tensor.rows, tensor.cols):
            place = data + start * pitch
            yield Piece(
                (tensor.name, start),
                place,
                partial(_write_rows, fd, merged, tensor.name, start, stop, dtype, place),
                partial(merged.read_ahead, tensor.name, start, stop),
            )
        data += tensor.rows * pitch


def _write_rows(
    fd: int, merged: MergedModel, name: str, start: int, stop: int, dtype: FloatType, place: int
) -> None:
    rows = merged.rows_as(name, start, stop, dtype.type)
    if dtype.type == Type.F16 and not np.isfinite(rows.view(np.float16)).all():
        raise BuildError(
            "some numbers are beyond the range of float16",
            where=name,
            fix="store it in bfloat16 or float32",
        )
    write_at(fd, rows, place)
