"""Sizes of ggml's types, and arrays for them."""

from __future__ import annotations

import numpy as np
import pytest
from gguf import GGMLQuantizationType as Type

from mergesearch.quantize.formats import (
    FLOAT_TYPES,
    TYPES,
    block_elements,
    empty_blocks,
    importance_row,
    row_bytes,
)


@pytest.mark.parametrize(
    ("kind", "elements", "size"),
    [
        (Type.F32, 1, 4),
        (Type.F16, 1, 2),
        (Type.BF16, 1, 2),
        (Type.Q4_0, 32, 18),
        (Type.Q4_1, 32, 20),
        (Type.Q5_0, 32, 22),
        (Type.Q5_1, 32, 24),
        (Type.Q8_0, 32, 34),
        (Type.Q4_K, 256, 144),
        (Type.Q5_K, 256, 176),
        (Type.Q6_K, 256, 210),
    ],
)
def test_blocks(kind: Type, elements: int, size: int) -> None:
    assert kind in TYPES
    assert block_elements(kind) == elements
    assert row_bytes(kind, 512) == 512 // elements * size
    assert empty_blocks(kind, (3, 512)).shape == (3, 512 // elements * size)


def test_a_row_is_a_whole_number_of_blocks() -> None:
    with pytest.raises(ValueError, match="100 columns are not a multiple of 32, as Q4_0 needs"):
        row_bytes(Type.Q4_0, 100)


def test_rows_of_other_types_are_refused() -> None:
    with pytest.raises(ValueError, match="IQ4_XS is not one of F32, BF16, F16, Q4_0"):
        empty_blocks(Type.IQ4_XS, (1, 256))


def test_float_types_have_the_size_of_their_arrays() -> None:
    sizes = {name: kind.size for name, kind in FLOAT_TYPES.items()}
    assert sizes == {"float32": 4, "bfloat16": 2, "float16": 2}


def test_importance_has_one_weight_a_column() -> None:
    assert importance_row(None, 4) is None
    weights = importance_row(np.ones(8, np.float32)[::2], 4)
    assert weights is not None
    assert weights.flags.c_contiguous
    with pytest.raises(ValueError, match=r"importance has the shape \(3,\), not \(4,\)"):
        importance_row(np.ones(3, np.float32), 4)
