"""The GGUF format: metadata, then what tensors there are, then their data at aligned places.

Every count and length is checked against the file before it is followed, so that a damaged or
hostile file is refused with its reason. Format: ggml, `docs/gguf.md`.
"""

from __future__ import annotations

import math
import mmap
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf

from mergesearch._system.files import open_regular, why_unreadable
from mergesearch.errors import CheckpointError
from mergesearch.gguf.pack import NUMBERS

_FIX = "download the file again"
_SMALLEST_FIELD, _SMALLEST_TENSOR = 8 + 4 + 1, 8 + 4 + 4 + 8
_MOST_DIMENSIONS = 4
_MOST_FIELDS, _MOST_TENSORS = 1 << 14, 1 << 17
_MOST_BYTES = 1 << 26  # before the data; the largest vocabularies take a third of it

_KINDS = gguf.GGUFValueType


@dataclass(frozen=True)
class GgufTensor:
    """One tensor of a file: type, shape `(rows, cols)` or `(cols,)`, its bytes `begin:end`."""

    kind: gguf.GGMLQuantizationType
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True)
class GgufHeader:
    """What stands before the data.

    Attributes:
        fields: Metadata by key.
        kinds: Type of each value, of a list the type of its elements.
        tensors: Tensors by their GGUF names.
    """

    fields: Mapping[str, Any]
    kinds: Mapping[str, gguf.GGUFValueType]
    tensors: Mapping[str, GgufTensor]


def read_gguf_header(path: Path) -> GgufHeader:
    """Read and check a file's header.

    Raises:
        CheckpointError: The file is missing, truncated or not a GGUF, or tensors reach beyond it or
            share bytes.
    """
    try:
        with (
            open_regular(path) as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
        ):
            return _read(_Cursor(data, path), path)
    except OSError as error:
        raise CheckpointError(why_unreadable(error), where=path) from error
    except ValueError as error:  # an empty file cannot be mapped
        raise CheckpointError("not a GGUF file: it is empty", where=path, fix=_FIX) from error


class _Cursor:
    """A place in the file that moves on with every value that is read."""

    def __init__(self, data: mmap.mmap, path: Path) -> None:
        self.data = data
        self.path = path
        self.place = 0

    def take(self, count: int) -> bytes:
        """The next bytes."""
        if count > len(self.data) - self.place:
            raise self.refuse(f"truncated: {count} bytes are wanted at byte {self.place}")
        if self.place + count > _MOST_BYTES:
            raise self.refuse(f"more than {_MOST_BYTES} bytes before the data")
        self.place += count
        return self.data[self.place - count : self.place]

    def scalar(self, code: str) -> Any:
        """The next number, by its `struct` code."""
        return struct.unpack("<" + code, self.take(struct.calcsize("<" + code)))[0]

    def count(self, smallest: int) -> int:
        """The next count of things of at least `smallest` bytes each, which must still fit."""
        count = int(self.scalar("Q"))
        if count * smallest > len(self.data) - self.place:
            raise self.refuse(f"truncated: {count} entries are wanted at byte {self.place}")
        return count

    def text(self) -> str:
        """The next string."""
        try:
            return self.take(self.count(1)).decode()
        except UnicodeDecodeError:
            raise self.refuse(f"the text before byte {self.place} is not UTF-8") from None

    def refuse(self, what: str) -> CheckpointError:
        return CheckpointError(what, where=self.path, fix=_FIX)


def _read(cursor: _Cursor, path: Path) -> GgufHeader:
    if cursor.take(4) != b"GGUF":
        raise CheckpointError("not a GGUF file", where=path)
    version = cursor.scalar("I")
    if version not in (2, 3):
        raise CheckpointError(f"GGUF version {version}", where=path, expected="2 or 3")
    tensors, keys = cursor.count(_SMALLEST_TENSOR), cursor.count(_SMALLEST_FIELD)
    if tensors > _MOST_TENSORS or keys > _MOST_FIELDS:
        raise cursor.refuse(f"{tensors} tensors and {keys} keys")
    found = _named(cursor, keys, _field, "key")
    fields = {key: value for key, (value, _) in found.items()}
    infos = _named(cursor, tensors, _tensor, "tensor")
    alignment = fields.get("general.alignment", gguf.GGUF_DEFAULT_ALIGNMENT)
    if not isinstance(alignment, int) or alignment < 1 or alignment & (alignment - 1):
        raise cursor.refuse(f"an alignment of {alignment!r}")
    data = -(-cursor.place // alignment) * alignment
    placed = {name: _placed(cursor, name, info, data, alignment) for name, info in infos.items()}
    _check_apart(cursor, placed)
    return GgufHeader(fields, {key: kind for key, (_, kind) in found.items()}, placed)


def _named(
    cursor: _Cursor, count: int, read: Callable[[_Cursor], Any], what: str
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for _ in range(count):
        name = cursor.text()
        if name in found:
            raise cursor.refuse(f"the {what} {name!r} occurs twice")
        found[name] = read(cursor)
    return found


def _kind(cursor: _Cursor) -> gguf.GGUFValueType:
    number = cursor.scalar("I")
    try:
        return _KINDS(number)
    except ValueError:
        raise cursor.refuse(f"unknown kind of value {number}") from None


def _field(cursor: _Cursor) -> tuple[Any, gguf.GGUFValueType]:
    kind = _kind(cursor)
    if kind != _KINDS.ARRAY:
        value = cursor.text() if kind == _KINDS.STRING else cursor.scalar(NUMBERS[kind])
        return value, kind
    element = _kind(cursor)
    if element == _KINDS.ARRAY:
        raise cursor.refuse("an array of arrays")
    return _array(cursor, element), element


def _array(cursor: _Cursor, kind: gguf.GGUFValueType) -> list[Any]:
    if kind == _KINDS.STRING:
        return [cursor.text() for _ in range(cursor.count(8))]
    code = NUMBERS[kind]
    count = cursor.count(struct.calcsize(code))
    return list(struct.unpack(f"<{count}{code}", cursor.take(count * struct.calcsize(code))))


def _tensor(cursor: _Cursor) -> tuple[tuple[int, ...], int, int]:
    dimensions = cursor.scalar("I")
    if not 1 <= dimensions <= _MOST_DIMENSIONS:
        raise cursor.refuse(f"a tensor of {dimensions} dimensions")
    shape = tuple(int(cursor.scalar("Q")) for _ in range(dimensions))
    return tuple(reversed(shape)), cursor.scalar("I"), cursor.scalar("Q")


def _placed(
    cursor: _Cursor, name: str, info: tuple[tuple[int, ...], int, int], data: int, alignment: int
) -> GgufTensor:
    shape, number, offset = info
    if offset % alignment:
        raise cursor.refuse(f"{name} begins at byte {offset} of the data, which is not aligned")
    try:
        kind = gguf.GGMLQuantizationType(number)
    except ValueError:
        raise cursor.refuse(f"{name}: unknown type {number}") from None
    block, size = gguf.GGML_QUANT_SIZES[kind]
    if shape[-1] % block:
        raise cursor.refuse(f"{name}: rows of {shape[-1]} are not whole blocks of {kind.name}")
    begin = data + offset
    end = begin + math.prod(shape) // block * size
    if end > len(cursor.data):
        raise cursor.refuse(f"truncated: {name} ends at byte {end} of {len(cursor.data)}")
    return GgufTensor(kind, shape, begin, end)


def _check_apart(cursor: _Cursor, tensors: Mapping[str, GgufTensor]) -> None:
    place = 0
    for name, tensor in sorted(tensors.items(), key=lambda pair: (pair[1].begin, pair[1].end)):
        if tensor.begin < place:
            raise cursor.refuse(f"{name} overlaps the tensor before it")
        place = tensor.end
