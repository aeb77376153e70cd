"""ggml's own quantization, called in the library that llama-cpp-python ships.

It is the yardstick of the kernels' tests and benchmarks; candidates are built without it.
"""

from __future__ import annotations

import ctypes
import importlib.util
import sys
import threading
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from gguf import GGMLQuantizationType as Type

from mergesearch.errors import MergeSearchError
from mergesearch.quantize.formats import empty_blocks, importance_row

_lock = threading.Lock()
_initialized: set[Type] = set()


def quantize_rows(
    block: npt.NDArray[np.float32],
    kind: Type,
    importance: npt.NDArray[np.float32] | None = None,
) -> npt.NDArray[np.uint8]:
    """Quantize rows as `kernels.quantize_rows` does, by `ggml_quantize_chunk` (`ggml.c`)."""
    source = np.ascontiguousarray(block, dtype=np.float32)
    target = empty_blocks(kind, source.shape)
    rows, cols = source.shape
    weights = importance_row(importance, cols)
    pointer = None if weights is None else weights.ctypes.data
    written = _initialized_library(kind).ggml_quantize_chunk(
        int(kind), source.ctypes.data, target.ctypes.data, 0, rows, cols, pointer
    )
    assert written == target.nbytes, (kind.name, written, target.nbytes)
    return target


def _initialized_library(kind: Type) -> ctypes.CDLL:
    library = _library()
    if kind not in _initialized:
        with _lock:
            library.ggml_quantize_init(int(kind))
            _initialized.add(kind)
    return library


@lru_cache(maxsize=1)
def _library() -> ctypes.CDLL:
    """`libggml-base`, found beside llama_cpp without importing it.

    Raises:
        MergeSearchError: Llama-cpp-python is missing or ships no such library.
    """
    spec = importlib.util.find_spec("llama_cpp")
    folders = (
        [Path(place) / "lib" for place in (spec.submodule_search_locations or [])] if spec else []
    )
    names = {"win32": "ggml-base.dll", "darwin": "libggml-base.dylib"}
    name = names.get(sys.platform, "libggml-base.so")
    for file in (folder / name for folder in folders):
        if file.is_file():
            return _declared(ctypes.CDLL(str(file)))
    raise MergeSearchError(
        f"{name} was not found", where="llama-cpp-python", fix="pip install llama-cpp-python"
    )


def _declared(library: ctypes.CDLL) -> ctypes.CDLL:
    library.ggml_quantize_init.argtypes = [ctypes.c_int]
    library.ggml_quantize_init.restype = None
    library.ggml_quantize_chunk.argtypes = [
        ctypes.c_int,
        ctypes.c_void_p,
        ctypes.c_void_p,
        ctypes.c_int64,
        ctypes.c_int64,
        ctypes.c_int64,
        ctypes.c_void_p,
    ]
    library.ggml_quantize_chunk.restype = ctypes.c_size_t
    return library
