"""The safetensors format: eight bytes with the header's length, a JSON header, then the data.

Every offset is checked before anything is read, so that a damaged or hostile file is refused with
its reason. Format: https://github.com/huggingface/safetensors#format.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mergesearch._kernels.mapping import mapped
from mergesearch._kernels.stored import Float, Stored, to_float32
from mergesearch._system.documents import check, parse_json, shown
from mergesearch._system.files import open_regular, why_unreadable
from mergesearch.errors import CheckpointError
from mergesearch.parents.documents import METADATA
from mergesearch.parents.parent import TensorInfo
from mergesearch.quantize.formats import FLOAT_TYPES

MAX_HEADER = 40 << 20
"""Bytes of a header; the format allows more, at 20 times as much memory, and no model needs it."""
_MOST_DIMENSIONS = 8
_FLOATS = {kind.type.name: kind.array for kind in FLOAT_TYPES.values()}
WHOLE_NUMBERS = {"BOOL": 1, "U8": 1, "I8": 1, "U16": 2, "I16": 2}
WHOLE_NUMBERS |= {"U32": 4, "I32": 4, "U64": 8, "I64": 8}
"""Bytes of one number of the types that weights never have."""
_ITEM_BYTES = WHOLE_NUMBERS | {name: array.itemsize for name, array in _FLOATS.items()}

_FIX = "download the file again"


@dataclass(frozen=True)
class SafetensorsTensor(TensorInfo):
    """One tensor of a file, with its bytes `begin:end` in the file."""

    begin: int
    end: int


class SafetensorsFile:
    """A memory-mapped safetensors file whose header has been checked."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tensors = read_header(path)
        self._file = open_regular(path)
        self._bytes = mapped(self._file)

    def rows(self, name: str, start: int, stop: int) -> Float:
        """Return rows of a tensor as float32; see `Checkpoint.rows`."""
        return to_float32(self.stored(name, start, stop))

    def stored(self, name: str, start: int, stop: int) -> Stored:
        """Return rows of a tensor as the file holds them; see `Checkpoint.stored`."""
        tensor = self.tensors[name]
        begin, end = self._place(tensor, start, stop)
        cols = tensor.shape[-1] if tensor.shape else 1
        rows: Stored = self._bytes[begin:end].view(_FLOATS[tensor.dtype])
        return rows.reshape(stop - start, cols)

    def read_ahead(self, name: str, start: int, stop: int) -> None:
        """Let the system read rows from the disk; returns when it has all but the last."""
        begin, end = self._place(self.tensors[name], start, stop)
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(self._file.fileno(), begin, end - begin, os.POSIX_FADV_WILLNEED)

    def _place(self, tensor: SafetensorsTensor, start: int, stop: int) -> tuple[int, int]:
        """Bytes of rows: the first, and one after the last."""
        pitch = (tensor.shape[-1] if tensor.shape else 1) * _ITEM_BYTES[tensor.dtype]
        return tensor.begin + start * pitch, tensor.begin + stop * pitch


def read_header(path: Path) -> dict[str, SafetensorsTensor]:
    """Read and check a file's header.

    Raises:
        CheckpointError: The file is missing or truncated, a dtype is unknown, or offsets overlap,
            leave gaps or reach beyond the file, or the header is not what the format says.
    """
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or length > min(MAX_HEADER, size - 8):
                raise CheckpointError(
                    f"the header takes {length} bytes of a file of {size}", where=path, fix=_FIX
                )
            text = file.read(length)
    except OSError as error:
        raise CheckpointError(why_unreadable(error), where=path) from error
    tensors = {
        name: _tensor(name, value, 8 + length, size, path)
        for name, value in _parse(text, path).items()
    }
    _check_contiguous(tensors, 8 + length, size, path)
    return tensors


def _parse(text: bytes, path: Path) -> dict[str, Any]:
    try:
        header = parse_json(text, path, CheckpointError)
    except CheckpointError as error:
        raise CheckpointError(f"the header is {error.what}", where=path, fix=_FIX) from error
    if not isinstance(header, dict):
        raise CheckpointError("the header is not a JSON object", where=path, fix=_FIX)
    check(METADATA, header.pop("__metadata__", None), f"{path}: __metadata__", CheckpointError)
    return header


def _tensor(name: str, value: Any, data: int, size: int, path: Path) -> SafetensorsTensor:
    if not isinstance(value, Mapping):
        raise CheckpointError(f"{name}: the header's entry is not an object", where=path, fix=_FIX)
    dtype: Any = value.get("dtype")
    shape: Any = value.get("shape")
    offsets: Any = value.get("data_offsets")
    if not isinstance(dtype, str) or dtype not in _ITEM_BYTES:
        raise CheckpointError(
            f"{name}: dtype {shown(dtype)}",
            where=path,
            expected=", ".join(_FLOATS),
            fix="use the unquantized checkpoint",
        )
    if not _are_sizes(shape) or not _are_sizes(offsets) or len(offsets) != 2:
        raise CheckpointError(f"{name}: malformed shape or offsets", where=path, fix=_FIX)
    begin, end = offsets
    needed = math.prod(shape) * _ITEM_BYTES[dtype]
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
    return SafetensorsTensor(tuple(shape), dtype, data + begin, data + end)


def _are_sizes(value: Any) -> bool:
    few = isinstance(value, list) and len(value) <= _MOST_DIMENSIONS
    return few and all(type(size) is int and 0 <= size < 1 << 63 for size in value)


def _check_contiguous(
    tensors: Mapping[str, SafetensorsTensor], data: int, size: int, path: Path
) -> None:
    """Refuse tensors that overlap, and bytes that belong to none."""
    place = data
    for name, tensor in sorted(tensors.items(), key=lambda pair: (pair[1].begin, pair[1].end)):
        if tensor.begin != place:
            what = "overlaps the tensor before it" if tensor.begin < place else "follows a gap"
            raise CheckpointError(f"{name} {what}", where=path, fix=_FIX)
        place = tensor.end
    if place != size:
        raise CheckpointError(f"{size - place} bytes belong to no tensor", where=path, fix=_FIX)
