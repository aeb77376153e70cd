"""A merged model written as a Hugging Face folder: safetensors shards, config and tokenizer."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGMLQuantizationType as Type

from mergesearch._system.files import write_json
from mergesearch.build.files import (
    Piece,
    full_disk_is_build_error,
    row_blocks,
    run,
    write_at,
)
from mergesearch.errors import BuildError
from mergesearch.merge import MergedModel, PlannedTensor
from mergesearch.quantize.formats import FLOAT_TYPES, FloatType
from mergesearch.vocabulary import write_tokenizer

SHARD_BYTES = 4_000_000_000


def write_folder(folder: Path, merged: MergedModel, dtype: str, threads: int | None) -> None:
    """Write weights, config and tokenizer into an empty folder; see `Workshop.safetensors`."""
    _write_shards(folder, merged, dtype, threads)
    config = {**merged.config, "dtype": dtype, "torch_dtype": dtype}
    write_json(folder / "config.json", config)
    if merged.tokenizer is not None:
        write_tokenizer(merged.tokenizer, folder)


def _write_shards(folder: Path, merged: MergedModel, dtype: str, threads: int | None) -> None:
    item = FLOAT_TYPES[dtype].size
    shards = _shards(merged, item)
    names = ["model.safetensors"]
    if len(shards) > 1:
        names = [
            f"model-{number:05d}-of-{len(shards):05d}.safetensors"
            for number in range(1, len(shards) + 1)
        ]
    for name, tensors in zip(names, shards, strict=True):
        _write_shard(folder / name, merged, tensors, FLOAT_TYPES[dtype], threads)
    if len(shards) > 1:
        places = {
            tensor.name: name
            for name, tensors in zip(names, shards, strict=True)
            for tensor in tensors
        }
        size = sum(tensor.rows * tensor.cols for tensor in merged.tensors) * item
        index = {"metadata": {"total_size": size}, "weight_map": places}
        write_json(folder / "model.safetensors.index.json", index)


def _shards(merged: MergedModel, item: int) -> list[list[PlannedTensor]]:
    """The tensors, in order, in groups of at most `SHARD_BYTES`."""
    shards: list[list[PlannedTensor]] = [[]]
    size = 0
    for tensor in merged.tensors:
        own = tensor.rows * tensor.cols * item
        if shards[-1] and size + own > SHARD_BYTES:
            shards.append([])
            size = 0
        shards[-1].append(tensor)
        size += own
    return shards


def _write_shard(
    path: Path,
    merged: MergedModel,
    tensors: Sequence[PlannedTensor],
    dtype: FloatType,
    threads: int | None,
) -> None:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
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
    data = 8 + len(text)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    try:
        with full_disk_is_build_error():
            os.pwrite(fd, len(text).to_bytes(8, "little") + text, 0)
            run(list(_pieces(fd, merged, tensors, dtype, data)), threads, merged.stopping)
    finally:
        os.close(fd)


def _pieces(
    fd: int, merged: MergedModel, tensors: Sequence[PlannedTensor], dtype: FloatType, data: int
) -> Iterator[Piece]:
    """Every block of rows, in file order; `data` is the place of the first byte."""
    for tensor in tensors:
        pitch = tensor.cols * dtype.size
        for start, stop in row_blocks(tensor):
            place = data + start * pitch
            yield Piece(
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
