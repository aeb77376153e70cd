"""The types of ggml that rows are quantized to, and the sizes of their blocks."""

from __future__ import annotations

import gguf
import numpy as np
import numpy.typing as npt
from gguf import GGMLQuantizationType as Type

FLOATS = (Type.F32, Type.F16, Type.BF16)
TYPES = (
    *FLOATS,
    Type.Q4_0,
    Type.Q4_1,
    Type.Q5_0,
    Type.Q5_1,
    Type.Q8_0,
    Type.Q4_K,
    Type.Q5_K,
    Type.Q6_K,
)


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


def empty_blocks(kind: Type, shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """Return uninitialized bytes for rows of shape `(rows, cols)`.

    Raises:
        ValueError: a type that is not in `TYPES`, or columns that do not fill its blocks.
    """
    if kind not in TYPES:
        raise ValueError(f"{kind.name} is not one of {', '.join(one.name for one in TYPES)}")
    rows, cols = shape
    return np.empty((rows, row_bytes(kind, cols)), dtype=np.uint8)


def importance_row(
    importance: npt.NDArray[np.float32] | None, cols: int
) -> npt.NDArray[np.float32] | None:
    """Return an importance matrix's weights as contiguous float32, shape `(cols,)`, or None.

    Raises:
        ValueError: there is not one weight per column.
    """
    if importance is None:
        return None
    if importance.shape != (cols,):
        raise ValueError(f"importance has the shape {importance.shape}, not ({cols},)")
    return np.ascontiguousarray(importance, dtype=np.float32)
