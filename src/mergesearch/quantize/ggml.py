"""ggml's own quantization, called in the library that llama-cpp-python ships."""

from __future__ import annotations

import ctypes
import importlib.util
import sys
import threading
from functools import lru_cache
from pathlib import Path

import gguf
import numpy as np
import numpy.typing as npt
from gguf import GGMLQuantizationType as Type

from mergesearch.errors import MergeSearchError

TYPES = (
    Type.F32,
    Type.F16,
    Type.Q4_0,
    Type.Q4_1,
    Type.Q5_0,
    Type.Q5_1,
    Type.Q8_0,
    Type.Q4_K,
    Type.Q5_K,
    Type.Q6_K,
)

_lock = threading.Lock()
_initialized: set[Type] = set()


def block_elements(kind: Type) -> int:
    """Elements of one block of a type; a row must be a whole number of blocks."""
    return int(gguf.GGML_QUANT_SIZES[kind][0])


def row_bytes(kind: Type, cols: int) -> int:
    """Bytes of a row of `cols` elements.

    Raises:
        ValueError: `cols` is not a whole number of blocks.
    """
    elements, size = gguf.GGML_QUANT_SIZES[kind]
    if cols % elements:
        raise ValueError(f"{cols} columns are not a multiple of {elements}, as {kind.name} needs")
    return int(cols // elements * size)


def quantize_rows(block: npt.NDArray[np.float32], kind: Type) -> npt.NDArray[np.uint8]:
    """Quantize rows; the interpreter's lock is released meanwhile.

    Args:
        block: finite float32, shape `(rows, cols)`.
        kind: one of `TYPES`.

    Returns:
        uint8, shape `(rows, row_bytes(kind, cols))`, the bytes of `ggml_quantize_chunk`
        (`ggml/src/ggml.c`).

    Raises:
        ValueError: a type that is not in `TYPES`, or columns that do not fill its blocks.
    """
    if kind not in TYPES:
        raise ValueError(f"{kind.name} is not one of {', '.join(one.name for one in TYPES)}")
    source = np.ascontiguousarray(block, dtype=np.float32)
    rows, cols = source.shape
    target = np.empty((rows, row_bytes(kind, cols)), dtype=np.uint8)
    library = _initialized_library(kind)
    written = library.ggml_quantize_chunk(
        int(kind), source.ctypes.data, target.ctypes.data, 0, rows, cols, None
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
        MergeSearchError: llama-cpp-python is missing or ships no such library.
    """
    spec = importlib.util.find_spec("llama_cpp")
    folders = [Path(one) / "lib" for one in (spec.submodule_search_locations or [])] if spec else []
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
