"""Rows of a GGUF's tensors as numbers."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import gguf
import numpy as np
import numpy.typing as npt

from mergesearch._kernels.stored import Float
from mergesearch.errors import CheckpointError
from mergesearch.gguf.header import GgufTensor
from mergesearch.quantize import TYPES, dequantize_rows


def dequantized(data: npt.NDArray[np.uint8], tensor: GgufTensor, start: int, stop: int) -> Float:
    """Return rows in the order of the file, shape `(stop - start, cols)`; a vector is one row.

    Args:
        data: Bytes of the whole file.
        start: First row.
        stop: Row after the last one.
    """
    block, size = gguf.GGML_QUANT_SIZES[tensor.kind]
    pitch = tensor.shape[-1] // block * size
    raw = data[tensor.begin + start * pitch : tensor.begin + stop * pitch]
    rows = raw.reshape(stop - start, pitch)
    if tensor.kind in TYPES:
        return dequantize_rows(rows, tensor.kind)
    values = gguf.dequantize(rows, tensor.kind)
    return np.array(values, dtype=np.float32, copy=None).reshape(stop - start, tensor.shape[-1])


def check_dequantizable(name: str, kind: gguf.GGMLQuantizationType, path: Path) -> None:
    """Refuse a tensor of a type that `gguf` cannot dequantize.

    Raises:
        CheckpointError: A tensor is stored otherwise; the message names it and its type.
    """
    if not _dequantizable(kind):
        raise CheckpointError(
            f"{name} has the type {kind.name}, which cannot be read",
            where=path,
            fix="convert the parent to F16, F32 or BF16",
        )


@cache
def _dequantizable(kind: gguf.GGMLQuantizationType) -> bool:
    """Whether `gguf` turns this type into numbers: tried on one block of zeros."""
    size = gguf.GGML_QUANT_SIZES[kind][1]
    try:
        gguf.dequantize(np.zeros((1, size), np.uint8), kind)
    except NotImplementedError:
        return False
    return True
