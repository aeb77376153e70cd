"""The header of GGUF files: what gguf itself writes is read; damage is refused with its reason."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mergesearch.errors import CheckpointError
from mergesearch.gguf.header import read_gguf_header

MATRIX = np.arange(64, dtype=np.float32).reshape(2, 32)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with every kind of value, two tensors, and an alignment of its own."""
    path = tmp_path_factory.mktemp("gguf") / "a.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_custom_alignment(64)
    for kind, value in (("uint8", 200), ("int8", -3), ("uint16", 60000), ("int16", -300)):
        getattr(writer, f"add_{kind}")(f"x.{kind}", value)
    for kind, value in (("uint32", 7), ("int32", -7), ("uint64", 2**63), ("int64", -(2**62))):
        getattr(writer, f"add_{kind}")(f"x.{kind}", value)
    writer.add_float32("x.float32", 0.5)
    writer.add_float64("x.float64", 0.1)
    writer.add_bool("x.bool", True)
    writer.add_string("x.string", "größer")
    writer.add_array("x.texts", ["a", "", "bc"])
    writer.add_array("x.numbers", [1, -2, 3])
    writer.add_tensor("vector", np.array([1.5, 2.5], np.float32))
    quantized = gguf.quantize(MATRIX, gguf.GGMLQuantizationType.Q8_0)
    writer.add_tensor("matrix", quantized, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_reads_what_gguf_writes(whole: Path) -> None:
    header = read_gguf_header(whole)
    assert dict(header.fields) == {
        "general.architecture": "llama",
        "general.alignment": 64,
        "x.uint8": 200,
        "x.int8": -3,
        "x.uint16": 60000,
        "x.int16": -300,
        "x.uint32": 7,
        "x.int32": -7,
        "x.uint64": 2**63,
        "x.int64": -(2**62),
        "x.float32": 0.5,
        "x.float64": 0.1,
        "x.bool": True,
        "x.string": "größer",
        "x.texts": ["a", "", "bc"],
        "x.numbers": [1, -2, 3],
    }
    matrix, vector = header.tensors["matrix"], header.tensors["vector"]
    assert (matrix.kind.name, matrix.shape) == ("Q8_0", (2, 32))
    assert (vector.kind.name, vector.shape) == ("F32", (2,))
    data = whole.read_bytes()
    assert data[vector.begin : vector.end] == np.array([1.5, 2.5], np.float32).tobytes()
    assert vector.begin % 64 == 0
    assert matrix.end - matrix.begin == 2 * 34


def test_places_equal_those_of_ggufs_reader(whole: Path) -> None:
    header, reader = read_gguf_header(whole), gguf.GGUFReader(whole)
    assert {tensor.name: tensor.data_offset for tensor in reader.tensors} == {
        name: tensor.begin for name, tensor in header.tensors.items()
    }


@given(data=st.data())
def test_truncated_anywhere_is_refused(whole: Path, data: st.DataObject) -> None:
    content = whole.read_bytes()
    end = max(tensor.end for tensor in read_gguf_header(whole).tensors.values())
    path = whole.with_name("cut.gguf")
    path.write_bytes(content[: data.draw(st.integers(0, end - 1))])
    with pytest.raises(CheckpointError):
        read_gguf_header(path)


@given(data=st.data())
def test_damage_is_read_or_refused(whole: Path, data: st.DataObject) -> None:
    """Any bytes in any places never end in another error, in a hang, or outside the file."""
    content = bytearray(whole.read_bytes())
    places = st.integers(0, len(content) - 1)
    for place in data.draw(st.lists(places, min_size=1, max_size=6)):
        content[place] = data.draw(st.sampled_from([0, 1, 7, 0x7F, 0xFF]))
    path = whole.with_name("damaged.gguf")
    path.write_bytes(content)
    try:
        header = read_gguf_header(path)
    except CheckpointError:
        return
    assert all(tensor.begin <= tensor.end <= len(content) for tensor in header.tensors.values())


def _file(*parts: bytes, tensors: int = 0, fields: int = 0, version: int = 3) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, fields) + b"".join(parts)


def _text(text: bytes) -> bytes:
    return struct.pack("<Q", len(text)) + text


def _info(name: bytes, shape: tuple[int, ...], kind: int = 0, offset: int = 0) -> bytes:
    sizes = struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
    return _text(name) + sizes + struct.pack("<IQ", kind, offset)


MANY = 2**63
KEY = _text(b"k")
HOSTILE: dict[str, tuple[Any, str]] = {
    "empty": (b"", "not a GGUF file: it is empty"),
    "another format": (b"PK\x03\x04" + b"\0" * 40, "not a GGUF file"),
    "version 1": (_file(version=1), "GGUF version 1"),
    "big-endian": (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "GGUF version 50331648"),
    "countless tensors": (_file(tensors=MANY), "9223372036854775808 entries are wanted"),
    "countless keys": (_file(fields=MANY), "entries are wanted"),
    "an endless name": (_file(struct.pack("<Q", MANY), b"\0" * 40, fields=1), "entries are wanted"),
    "an endless array": (
        _file(KEY, struct.pack("<IIQ", 9, 4, MANY), b"\0" * 40, fields=1),
        "entries are wanted",
    ),
    "an endless array of texts": (
        _file(KEY, struct.pack("<IIQ", 9, 8, MANY), b"\0" * 40, fields=1),
        "entries are wanted",
    ),
    "an array of arrays": (
        _file(KEY, struct.pack("<IIQ", 9, 9, 1), b"\0" * 40, fields=1),
        "array of arrays",
    ),
    "a kind that is not": (_file(KEY, struct.pack("<I", 77), fields=1), "unknown kind of value 77"),
    "a key twice": (_file(*[KEY + struct.pack("<II", 4, 1)] * 2, fields=2), "'k' occurs twice"),
    "a key that is no text": (
        _file(_text(b"\xff\xfe"), struct.pack("<II", 4, 1), fields=1),
        "not UTF-8",
    ),
    "alignment 0": (
        _file(_text(b"general.alignment"), struct.pack("<II", 4, 0), fields=1),
        "an alignment of 0",
    ),
    "alignment 48": (
        _file(_text(b"general.alignment"), struct.pack("<II", 4, 48), fields=1),
        "an alignment of 48",
    ),
    "no dimensions": (_file(_info(b"t", ()), b"\0" * 64, tensors=1), "of 0 dimensions"),
    "many dimensions": (_file(_info(b"t", (1,) * 5), b"\0" * 64, tensors=1), "of 5 dimensions"),
    "huge": (_file(_info(b"t", (MANY, MANY)), b"\0" * 64, tensors=1), "truncated: t ends at"),
    "far away": (_file(_info(b"t", (4,), 0, MANY), b"\0" * 64, tensors=1), "truncated: t ends at"),
    "unknown type": (_file(_info(b"t", (4,), 4), b"\0" * 64, tensors=1), "t: unknown type 4"),
    "half a block": (_file(_info(b"t", (48,), 8), b"\0" * 64, tensors=1), "whole blocks of Q8_0"),
    "a tensor twice": (
        _file(*[_info(b"t", (4,))] * 2, b"\0" * 64, tensors=2),
        "'t' occurs twice",
    ),
    "not aligned": (
        _file(_info(b"a", (8,)), _info(b"b", (8,), 0, 48), b"\0" * 150, tensors=2),
        "b begins at byte 48 of the data, which is not aligned",
    ),
    "overlapping": (
        _file(_info(b"a", (16,)), _info(b"b", (8,), 0, 32), b"\0" * 150, tensors=2),
        "b overlaps the tensor before it",
    ),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_refused_with_its_reason(case: str, tmp_path: Path) -> None:
    content, message = HOSTILE[case]
    path = tmp_path / "hostile.gguf"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=message) as caught:
        read_gguf_header(path)
    assert str(path) in str(caught.value)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such file"):
        read_gguf_header(tmp_path / "absent.gguf")
