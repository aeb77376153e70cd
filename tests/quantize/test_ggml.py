"""ggml's quantization through ctypes against the NumPy reference of the gguf package."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from gguf import GGMLQuantizationType as Type
from gguf import dequantize, quantize

from mergesearch.quantize import quantize_rows, row_bytes
from mergesearch.quantize.formats import TYPES

ROWS = np.random.default_rng(0).standard_normal((16, 512)).astype(np.float32)


@pytest.mark.parametrize(
    "kind", [Type.F32, Type.F16, Type.Q4_0, Type.Q4_1, Type.Q5_0, Type.Q5_1, Type.Q8_0]
)
def test_simple_types_equal_numpy(kind: Type) -> None:
    expected = quantize(ROWS, kind)
    assert quantize_rows(ROWS, kind).tobytes() == expected.tobytes()


@pytest.mark.parametrize(
    ("kind", "error"), [(Type.Q4_K, 0.12), (Type.Q5_K, 0.06), (Type.Q6_K, 0.03)]
)
def test_k_quants_come_close(kind: Type, error: float) -> None:
    """Dequantized by the gguf package, values are near the originals."""
    found = dequantize(quantize_rows(ROWS, kind), kind)
    assert np.sqrt(np.mean((found - ROWS) ** 2)) < error


@pytest.mark.parametrize("kind", TYPES)
def test_rows_are_independent_of_threads_and_cuts(kind: Type) -> None:
    """Row by row in four threads gives the bytes of all rows at once."""
    whole = quantize_rows(ROWS, kind)
    assert whole.shape == (16, row_bytes(kind, 512))
    with ThreadPoolExecutor(4) as pool:
        rows = list(pool.map(lambda row: quantize_rows(ROWS[row : row + 1], kind), range(16)))
    assert np.array_equal(np.concatenate(rows), whole)


def test_transposed_views_are_copied() -> None:
    view = ROWS[:, :256].T[:, :]
    kind = Type.Q8_0
    wide = np.ascontiguousarray(np.tile(view, (1, 2)))
    assert np.array_equal(quantize_rows(np.tile(view, (1, 2)), kind), quantize_rows(wide, kind))


def test_unsuited_rows_and_types_are_refused() -> None:
    with pytest.raises(ValueError, match="multiple of 256"):
        quantize_rows(ROWS[:, :100], Type.Q4_K)
    with pytest.raises(ValueError, match="Q2_K"):
        quantize_rows(ROWS, Type.Q2_K)


def test_llama_cpp_is_not_imported() -> None:
    """Quantizing needs the library's file, not the whole of llama_cpp or torch."""
    code = (
        "import sys, numpy, mergesearch.candidate; from mergesearch.quantize import quantize_rows;"
        "from gguf import GGMLQuantizationType as T;"
        "quantize_rows(numpy.ones((1, 256), 'f4'), T.Q4_K);"
        "assert not {'llama_cpp', 'torch', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
