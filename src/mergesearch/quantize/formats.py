"""How numbers are stored: the float types of checkpoints, and ggml's types with their blocks."""

from __future__ import annotations

from dataclasses import dataclass

import gguf
import numpy as np
import numpy.typing as npt
from gguf import GGMLQuantizationType as Type

from mergesearch._kernels.stored import Float


@dataclass(frozen=True)
class FloatType:
    """A type of unquantized weights.

    Attributes:
        type: Type of ggml; its name is also the one in the header of a safetensors file.
        array: Dtype of the stored numbers in NumPy; bfloat16 is read as the bits it consists of.
    """

    type: Type
    array: np.dtype[np.generic]

    @property
    def size(self) -> int:
        """Bytes of one number."""
        return self.array.itemsize


FLOAT_TYPES: dict[str, FloatType] = {
    "float32": FloatType(Type.F32, np.dtype("<f4")),
    "bfloat16": FloatType(Type.BF16, np.dtype("<u2")),
    "float16": FloatType(Type.F16, np.dtype("<f2")),
}
"""Float types by the name that recipes and `config.json` use."""

FLOATS = tuple(kind.type for kind in FLOAT_TYPES.values())
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
"""The types that rows can be written in."""


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
        ValueError: The type is not in `TYPES`, or the columns do not fill its blocks.
    """
    if kind not in TYPES:
        raise ValueError(f"{kind.name} is not one of {', '.join(known.name for known in TYPES)}")
    rows, cols = shape
    return np.empty((rows, row_bytes(kind, cols)), dtype=np.uint8)


def importance_row(importance: Float | None, cols: int) -> Float | None:
    """Return an importance matrix's weights as contiguous float32, shape `(cols,)`, or None.

    Raises:
        ValueError: The number of weights is not the number of columns.
    """
    if importance is None:
        return None
    if importance.shape != (cols,):
        raise ValueError(f"importance has the shape {importance.shape}, not ({cols},)")
    return np.ascontiguousarray(importance, dtype=np.float32)
