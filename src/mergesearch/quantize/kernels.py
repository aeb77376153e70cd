"""Rows of float32 to ggml's blocks, and back, by the compiled kernels."""

from __future__ import annotations

import gguf
import numpy as np
import numpy.typing as npt
from gguf import GGMLQuantizationType as Type

from mergesearch._kernels import Variant, kernels
from mergesearch._kernels.stored import Float
from mergesearch.quantize.formats import empty_blocks, importance_row


def quantize_rows(
    block: Float,
    kind: Type,
    importance: Float | None = None,
    *,
    variant: Variant | None = None,
) -> npt.NDArray[np.uint8]:
    """Quantize rows; the interpreter's lock is released meanwhile.

    Args:
        block: Finite numbers, float32, shape `(rows, cols)`.
        kind: One of `formats.TYPES`.
        importance: Weight of each column from an importance matrix, shape `(cols,)`; Q8_0 and the
            float types do not look at it.
        variant: Instruction set to use; by default the fastest one here.

    Returns:
        uint8, shape `(rows, row_bytes(kind, cols))`, the bytes of `ggml_quantize_chunk`
        (`ggml/src/ggml.c`).

    Raises:
        ValueError: A type that is not in `TYPES`, columns that do not fill its blocks, or an
            importance that does not fit them.
    """
    source = np.ascontiguousarray(block, dtype=np.float32)
    target = empty_blocks(kind, source.shape)
    weights = importance_row(importance, source.shape[1])
    (variant or kernels()).quantize(int(kind), source, target, weights)
    return target


def dequantize_rows(
    blocks: npt.NDArray[np.uint8], kind: Type, *, variant: Variant | None = None
) -> Float:
    """Turn rows of blocks into numbers; the interpreter's lock is released meanwhile.

    Args:
        blocks: Bytes of the blocks, uint8, shape `(rows, bytes of a row)`.
        kind: One of `formats.TYPES`.
        variant: Instruction set to use; by default the fastest one here.

    Returns:
        float32, shape `(rows, cols)`, the values of `dequantize_row_*` (`ggml-quants.c`).

    Raises:
        ValueError: A type that is not in `TYPES`, or bytes that do not fill its blocks.
    """
    rows, size = blocks.shape
    elements, block = gguf.GGML_QUANT_SIZES[kind]
    values = np.empty((rows, size // block * elements), dtype=np.float32)
    (variant or kernels()).dequantize(int(kind), blocks, values)
    return values
