"""The safetensors format: eight bytes with the header's length, a JSON header, then the data.

Every offset is checked before anything is read, so that a damaged or hostile file is refused with
its reason. Format: https://github.com/huggingface/safetensors#format.
"""

from __future__ import annotations

import json
import math
import mmap
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mergesearch._kernels.stored import Stored, to_float32
from mergesearch.errors import CheckpointError
from mergesearch.quantize.formats import FLOAT_TYPES

MAX_HEADER = 100_000_000
_ARRAYS = {kind.type.name: kind.array for kind in FLOAT_TYPES.values()}

_FIX = "download the file again"


@dataclass(frozen=True)
class Entry:
    """One tensor of a file: dtype, shape, and its bytes `begin:end` in the file."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


class SafetensorsFile:
    """A memory-mapped safetensors file whose header has been checked."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries = read_header(path)
        self._file = path.open("rb")
        mapped = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
        self._bytes = np.frombuffer(mapped, dtype=np.uint8)

    def rows(self, name: str, start: int, stop: int) -> npt.NDArray[np.float32]:
        """Return rows of a tensor as float32, shape `(stop - start, cols)`; a vector is one row."""
        return to_float32(self.stored(name, start, stop))

    def stored(self, name: str, start: int, stop: int) -> Stored:
        """Return rows of a tensor as they lie in the file; see `Checkpoint.stored`."""
        entry = self.entries[name]
        begin, end = self._place(entry, start, stop)
        cols = entry.shape[-1] if entry.shape else 1
        rows: Stored = self._bytes[begin:end].view(_ARRAYS[entry.dtype])
        return rows.reshape(stop - start, cols)

    def read_ahead(self, name: str, start: int, stop: int) -> None:
        """Let the system read rows from the disk; returns when it has all but the last."""
        begin, end = self._place(self.entries[name], start, stop)
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(self._file.fileno(), begin, end - begin, os.POSIX_FADV_WILLNEED)

    def _place(self, entry: Entry, start: int, stop: int) -> tuple[int, int]:
        """Bytes of rows: the first, and one after the last."""
        pitch = (entry.shape[-1] if entry.shape else 1) * _ARRAYS[entry.dtype].itemsize
        return entry.begin + start * pitch, entry.begin + stop * pitch


def read_header(path: Path) -> dict[str, Entry]:
    """Read and check a file's header.

    Raises:
        CheckpointError: missing, truncated, an unknown dtype, or offsets that overlap, leave gaps
            or reach beyond the file.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or length > min(MAX_HEADER, size - 8):
                raise CheckpointError(
                    f"the header takes {length} bytes of a file of {size}", where=path, fix=_FIX
                )
            text = file.read(length)
    except OSError as error:
        raise CheckpointError(f"cannot be read: {error.strerror}", where=path) from error
    entries = {
        name: _entry(name, value, 8 + length, size, path)
        for name, value in _parse(text, path).items()
        if name != "__metadata__"
    }
    _check_contiguous(entries, 8 + length, size, path)
    return entries


def _parse(text: bytes, path: Path) -> dict[str, Any]:
    try:
        document = json.loads(text, object_pairs_hook=_without_duplicates)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"the header is not JSON: {error}", where=path, fix=_FIX) from error
    if not isinstance(document, dict):
        raise CheckpointError("the header is not a JSON object", where=path, fix=_FIX)
    return document


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a key stands twice")
    return document


def _entry(name: str, value: Any, data: int, size: int, path: Path) -> Entry:
    if not isinstance(value, Mapping):
        raise CheckpointError(f"{name}: the header's entry is not an object", where=path, fix=_FIX)
    dtype: Any = value.get("dtype")
    shape: Any = value.get("shape")
    offsets: Any = value.get("data_offsets")
    if dtype not in _ARRAYS:
        raise CheckpointError(
            f"{name}: dtype {dtype!r}",
            where=path,
            expected=", ".join(_ARRAYS),
            fix="use the unquantized checkpoint",
        )
    if not _whole(shape) or not _whole(offsets) or len(offsets) != 2:
        raise CheckpointError(f"{name}: malformed shape or offsets", where=path, fix=_FIX)
    begin, end = offsets
    needed = math.prod(shape) * _ARRAYS[dtype].itemsize
    if end - begin != needed:
        raise CheckpointError(
            f"{name}: {end - begin} bytes for a {dtype} tensor of shape {tuple(shape)}",
            where=path,
            expected=f"{needed} bytes",
            fix=_FIX,
        )
    if data + end > size:
        raise CheckpointError(
            f"truncated: {name} ends at byte {data + end} of a file of {size}", where=path, fix=_FIX
        )
    return Entry(dtype, tuple(shape), data + begin, data + end)


def _whole(value: Any) -> bool:
    return isinstance(value, list) and all(type(one) is int and one >= 0 for one in value)


def _check_contiguous(entries: Mapping[str, Entry], data: int, size: int, path: Path) -> None:
    """Refuse tensors that overlap, and bytes that belong to none."""
    place = data
    for name, entry in sorted(entries.items(), key=lambda one: (one[1].begin, one[1].end)):
        if entry.begin != place:
            what = "overlaps the tensor before it" if entry.begin < place else "follows a gap"
            raise CheckpointError(f"{name} {what}", where=path, fix=_FIX)
        place = entry.end
    if place != size:
        raise CheckpointError(f"{size - place} bytes belong to no tensor", where=path, fix=_FIX)
