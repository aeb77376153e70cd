"""Values as checkpoints store them, and as float32."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from mergesearch._kernels import kernels

Float = npt.NDArray[np.float32]
"""Numbers that are computed with, or float32 blocks of rows."""

Stored = npt.NDArray[Any]
"""Values as a checkpoint stores them: float32, float16, or uint16 with the bits of bfloat16."""


def to_float32(rows: Stored) -> Float:
    """Return stored rows in float32; every value is exact."""
    if rows.dtype == np.float32:
        return rows
    converted = np.empty(rows.shape, dtype=np.float32)
    kernels().read(np.ascontiguousarray(rows), converted)
    return converted
