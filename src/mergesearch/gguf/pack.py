"""The bytes of a GGUF before its data: metadata in sections that can be kept, and the tensors.

Format: ggml, `docs/gguf.md`. A vocabulary takes longer to pack than everything else in a header,
and is the same for all candidates of a search.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gguf
from gguf import GGMLQuantizationType as Type
from gguf import GGUFValueType as ValueType

from mergesearch.gguf.rows import StoredTensor
from mergesearch.quantize import row_bytes

NUMBERS = {
    ValueType.UINT8: "B",
    ValueType.INT8: "b",
    ValueType.UINT16: "H",
    ValueType.INT16: "h",
    ValueType.UINT32: "I",
    ValueType.INT32: "i",
    ValueType.FLOAT32: "f",
    ValueType.UINT64: "Q",
    ValueType.INT64: "q",
    ValueType.FLOAT64: "d",
    ValueType.BOOL: "?",
}
"""Code of the `struct` module for each type of numbers."""


Section = tuple[int, bytes]
"""Number of keys, and the bytes of the keys with their values."""


class Metadata:
    """Keys of a GGUF with their values, in the order of the file.

    Args:
        arch: GGUF's name of the architecture, which takes the place of `{arch}` in keys.
    """

    def __init__(self, arch: str = "") -> None:
        self._arch = arch
        self._values: dict[str, tuple[Any, ValueType]] = {}

    def add(self, key: str, value: Any, kind: ValueType | None = None) -> None:
        """Add a key, or replace its value; nothing is added for an empty string or list.

        Args:
            key: Key, which may hold `{arch}`.
            value: String, number, switch, or a list of one of these.
            kind: Type of the value, or of a list's elements; None for the one that goes with
                Python's own: string, float32, bool, and for whole numbers uint32, in lists int32.
        """
        if value in ("", []):
            return
        if kind is None:
            kind = _kind_of(value)
        self._values[key.format(arch=self._arch)] = value, kind

    def packed(self) -> Section:
        """Return the bytes of all keys and values."""
        packed = bytearray()
        for key, (value, kind) in self._values.items():
            packed += _string(key)
            if isinstance(value, list):
                packed += struct.pack("<IIQ", ValueType.ARRAY, kind, len(value))
                packed += _numbers_or_strings(value, kind)
            else:
                packed += struct.pack("<I", kind) + _numbers_or_strings([value], kind)
        return len(self._values), bytes(packed)


def _kind_of(value: Any) -> ValueType:
    match value:
        case bool():
            return ValueType.BOOL
        case int():
            return ValueType.UINT32
        case float():
            return ValueType.FLOAT32
        case [int(), *_]:
            return ValueType.INT32
        case [first, *_]:
            return _kind_of(first)
        case _:
            return ValueType.STRING


def _numbers_or_strings(values: Sequence[Any], kind: ValueType) -> bytes:
    if kind == ValueType.STRING:
        return b"".join(_string(value) for value in values)
    return struct.pack(f"<{len(values)}{NUMBERS[kind]}", *values)


def _string(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack("<Q", len(encoded)) + encoded


@dataclass(frozen=True)
class PlacedTensor(StoredTensor):
    """A tensor of a file.

    Attributes:
        kind: Type of the stored rows.
        offset: Place of the first byte, from the beginning of all data.
    """

    kind: Type
    offset: int

    @property
    def pitch(self) -> int:
        """Bytes of one row, or of one element of a vector."""
        return row_bytes(self.kind, self.cols)


def packed_header(sections: Sequence[Section], tensors: Sequence[PlacedTensor]) -> bytes:
    """Return the whole header: magic, version, counts, metadata, tensors."""
    packed = bytearray(struct.pack("<II", gguf.GGUF_MAGIC, gguf.GGUF_VERSION))
    packed += struct.pack("<QQ", len(tensors), sum(count for count, _ in sections))
    for _, keys in sections:
        packed += keys
    for tensor in tensors:
        dimensions = len(tensor.shape)
        packed += _string(tensor.name)
        packed += struct.pack(f"<I{dimensions}Q", dimensions, *reversed(tensor.shape))
        packed += struct.pack("<IQ", tensor.kind, tensor.offset)
    return bytes(packed)


def aligned(size: int) -> int:
    """Round up to the alignment of tensors in a GGUF."""
    return -(-size // gguf.GGUF_DEFAULT_ALIGNMENT) * gguf.GGUF_DEFAULT_ALIGNMENT
