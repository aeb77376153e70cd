"""The bytes of a header against those of the `gguf` package's own writer."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import pytest
from gguf import GGMLQuantizationType as Type
from gguf import GGUFValueType as ValueType
from hypothesis import given
from hypothesis import strategies as st

from mergesearch.gguf.pack import Metadata, PlacedTensor, aligned, packed_header

texts = st.text(max_size=20)
whole = st.integers(0, 2**31 - 1)
floats = st.floats(width=32, allow_nan=False)
values = st.one_of(
    texts,
    st.booleans(),
    whole,
    floats,
    st.lists(texts, min_size=1, max_size=4),
    st.lists(whole, min_size=1, max_size=4),
    st.lists(floats, min_size=1, max_size=4),
)


def written_by_gguf(path: Path, keys: dict[str, object], tensors: list[PlacedTensor]) -> bytes:
    """The header that `gguf.GGUFWriter` writes."""
    writer = gguf.GGUFWriter(path, "llama")
    for key, value in keys.items():
        match value:
            case bool():
                writer.add_bool(key, value)
            case int():
                writer.add_uint32(key, value)
            case float():
                writer.add_float32(key, value)
            case str():
                writer.add_string(key, value)
            case list():
                writer.add_array(key, value)
    for tensor in tensors:
        size = int(np.prod(tensor.shape)) * 4
        writer.add_tensor_info(
            tensor.name, tensor.shape, np.dtype(np.float32), size, raw_dtype=tensor.kind
        )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    return path.read_bytes()


@given(keys=st.dictionaries(st.text(min_size=1, max_size=9).map("k.".__add__), values, max_size=5))
def test_headers_equal_those_of_gguf(
    keys: dict[str, object], tmp_path_factory: pytest.TempPathFactory
) -> None:
    tensors = [
        PlacedTensor("vector", (5,), (), Type.F32, 0),
        PlacedTensor("matrix", (3, 7), (), Type.F32, aligned(20)),
        PlacedTensor("experts", (2, 3, 4), (), Type.F32, aligned(20) + aligned(84)),
    ]
    expected = written_by_gguf(tmp_path_factory.mktemp("g") / "m.gguf", keys, tensors)
    made = Metadata("llama")
    made.add("general.architecture", "llama")
    for key, value in keys.items():
        made.add(key.replace("{", "{{").replace("}", "}}"), value)
    assert packed_header([made.packed()], tensors) == expected


def test_keys_follow_each_other_in_their_order() -> None:
    """A key that is added again keeps its place; `{arch}` is the architecture."""
    keys = Metadata("qwen2")
    keys.add("{arch}.a", 1)
    keys.add("b", True)
    keys.add("{arch}.a", 2.0)
    count, packed = keys.packed()
    assert count == 2
    first = b"\x07" + bytes(7) + b"qwen2.a" + b"\x06\0\0\0" + np.float32(2).tobytes()
    assert packed == first + b"\x01" + bytes(7) + b"b" + b"\x07\0\0\0" + b"\x01"


def test_a_type_of_ones_own() -> None:
    keys = Metadata()
    keys.add("k", 3, ValueType.FLOAT32)
    keys.add("l", [-1, 2], ValueType.INT8)
    assert keys.packed()[1].endswith(b"\x09\0\0\0\x01\0\0\0\x02" + bytes(7) + b"\xff\x02")


@pytest.mark.parametrize(("size", "rounded"), [(0, 0), (1, 32), (32, 32), (33, 64)])
def test_alignment(size: int, rounded: int) -> None:
    assert aligned(size) == rounded
