"""The safetensors reader: exact values, and damaged files as executable documentation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from mergesearch._kernels.stored import to_float32
from mergesearch.errors import CheckpointError
from mergesearch.parents.safetensors import MAX_HEADER, SafetensorsFile, read_header


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_rows_equal_torch(dtype: torch.dtype, tmp_path: Path) -> None:
    """Any range of rows is the exact float32 of what torch stored; a vector is one row."""
    matrix = torch.randn(7, 5, generator=torch.Generator().manual_seed(1)).to(dtype)
    vector = torch.tensor([1.5, -0.0, 65504.0]).to(dtype)
    save_file({"matrix": matrix, "vector": vector}, tmp_path / "x.safetensors")
    file = SafetensorsFile(tmp_path / "x.safetensors")
    rows = to_float32(file.stored("matrix", 2, 6))
    assert np.array_equal(rows, matrix[2:6].float().numpy())
    assert rows.dtype == np.float32
    assert np.array_equal(to_float32(file.stored("vector", 0, 1)), vector.float().numpy()[None])


def test_data_may_start_at_an_odd_byte(tmp_path: Path) -> None:
    path = write_raw(tmp_path, {"x": entry([3], [0, 12])}, np.arange(3, dtype="<f4").tobytes())
    assert path.stat().st_size % 2 == 1
    assert SafetensorsFile(path).stored("x", 0, 1).tolist() == [[0.0, 1.0, 2.0]]


def entry(shape: list[int], offsets: list[int], dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


def write_raw(folder: Path, header: Any, data: bytes, length: int | None = None) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    text += b" " * (len(text) % 2 == 0)
    path = folder / "x.safetensors"
    path.write_bytes((len(text) if length is None else length).to_bytes(8, "little") + text + data)
    return path


DAMAGED = {
    "a header longer than the file": ({"x": entry([1], [0, 4])}, bytes(4), 10_000, "header"),
    "a header beyond the limit": ({}, b"", MAX_HEADER + 1, "header"),
    "a header that is not JSON": (b"{nonsense", bytes(4), None, "not valid JSON"),
    "a deeply nested header": (b"[" * 100_000, b"", None, "JSON"),
    "a header that is a list": ([], b"", None, "not a JSON object"),
    "a name twice": (b'{"x": {}, "x": {}}', b"", None, "twice"),
    "metadata that are a list": ({"__metadata__": [1]}, b"", None, "__metadata__: a list is not"),
    "metadata that are nested": (
        {"__metadata__": {"a": {"b": 1}}},
        b"",
        None,
        "__metadata__: a: a mapping is not a string",
    ),
    "an entry that is a number": ({"x": 3}, b"", None, "not an object"),
    "an unknown dtype": ({"x": entry([1], [0, 1], "F8_E4M3")}, bytes(1), None, "F8_E4M3"),
    "too few bytes of whole numbers": (
        {"x": entry([2], [0, 8], "I64")},
        bytes(8),
        None,
        "8 bytes for a I64 tensor",
    ),
    "a negative size": ({"x": entry([-1], [0, 4])}, bytes(4), None, "malformed"),
    "a size that is a fraction": ({"x": entry([1.0], [0, 4])}, bytes(4), None, "malformed"),  # type: ignore[list-item]
    "three offsets": ({"x": entry([1], [0, 4, 8])}, bytes(4), None, "malformed"),
    "fewer bytes than the shape needs": ({"x": entry([2], [0, 4])}, bytes(4), None, "8 bytes"),
    "data cut off": ({"x": entry([2], [0, 8])}, bytes(5), None, "truncated"),
    "tensors that overlap": (
        {"x": entry([2], [0, 8]), "y": entry([2], [4, 12])},
        bytes(12),
        None,
        "overlaps",
    ),
    "a gap between tensors": (
        {"x": entry([1], [0, 4]), "y": entry([1], [8, 12])},
        bytes(12),
        None,
        "gap",
    ),
    "bytes after the last tensor": ({"x": entry([1], [0, 4])}, bytes(9), None, "no tensor"),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_damaged_files_are_refused(case: str, tmp_path: Path) -> None:
    """Nothing is read from a file whose header does not describe it exactly."""
    header, data, length, message = DAMAGED[case]
    path = write_raw(tmp_path, header, data, length)
    with pytest.raises(CheckpointError, match=message) as caught:
        read_header(path)
    assert str(path) in str(caught.value)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    with pytest.raises(CheckpointError, match="file of 0"):
        read_header(tmp_path / "x")
