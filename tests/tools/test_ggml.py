"""ggml's quantization through ctypes against the NumPy reference of the gguf package."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from gguf import GGMLQuantizationType as Type
from gguf import dequantize, quantize

from tools.quantization.ggml import quantize_rows

ROWS = np.random.default_rng(0).standard_normal((16, 512)).astype(np.float32)


@pytest.mark.parametrize(
    "kind",
    [Type.F32, Type.F16, Type.BF16, Type.Q4_0, Type.Q4_1, Type.Q5_0, Type.Q5_1, Type.Q8_0],
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


def test_importance_moves_the_error_to_where_it_matters_less() -> None:
    importance = np.where(np.arange(512) % 2, 1, 0.01).astype(np.float32)
    for kind in (Type.Q4_0, Type.Q4_K, Type.Q5_K, Type.Q6_K):
        found = dequantize(quantize_rows(ROWS, kind, importance), kind)
        error = np.mean((found - ROWS) ** 2, axis=0)
        assert error[1::2].mean() < error[::2].mean()


@pytest.mark.whole
def test_candidates_need_no_library_of_ggml() -> None:
    """Quantizing loads neither llama_cpp, nor torch, nor ggml's library."""
    code = (
        "import sys, numpy, mergesearch.build; from mergesearch.quantize import quantize_rows;"
        "from gguf import GGMLQuantizationType as T;"
        "quantize_rows(numpy.ones((1, 256), 'f4'), T.Q4_K);"
        "assert not {'llama_cpp', 'torch', 'transformers'} & set(sys.modules);"
        "assert 'tools.quantization.ggml' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
