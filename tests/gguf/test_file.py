"""Rows of a GGUF's tensors as numbers, against what the gguf package wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from gguf import GGMLQuantizationType as Type

from mergesearch.errors import CheckpointError
from mergesearch.gguf.file import GgufFile

VALUES = np.linspace(-2, 2, 8 * 32, dtype=np.float32).reshape(8, 32)


def written(path: Path, **tensors: tuple[Any, Type | None]) -> Path:
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_uint32("llama.block_count", 2)
    for name, (values, kind) in tensors.items():
        stored = values if kind is None else gguf.quantize(values, kind)
        writer.add_tensor(name, stored, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.parametrize("kind", [Type.F16, Type.BF16, Type.Q8_0, Type.Q5_1, Type.Q4_0])
def test_rows_are_those_of_the_library(kind: Type, tmp_path: Path) -> None:
    file = GgufFile(written(tmp_path / "m.gguf", a=(VALUES, kind), b=(VALUES, None)))
    expected = gguf.dequantize(gguf.quantize(VALUES, kind), kind)
    assert np.array_equal(file.rows(file.tensors["a"], 2, 5), expected[2:5])
    assert np.array_equal(file.rows(file.tensors["b"], 7, 8), VALUES[7:])
    assert file.fields.whole(gguf.Keys.LLM.BLOCK_COUNT, 1) == 2


def test_constants_are_told_by_their_names(tmp_path: Path) -> None:
    factors = np.array([1, 2, 4], np.float32)
    tensors: dict[str, Any] = {"rope_freqs.weight": (factors, None), "a": (VALUES, None)}
    constants = GgufFile(written(tmp_path / "m.gguf", **tensors)).constants
    assert {name: vector.tolist() for name, vector in constants.items()} == {
        "rope_freqs.weight": [1, 2, 4]
    }


def test_a_type_without_numbers_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "m.gguf", a=(np.zeros((2, 4), np.int8), None))
    with pytest.raises(CheckpointError, match="a has the type I8, which cannot be read"):
        GgufFile(path)
