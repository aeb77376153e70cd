"""Stored values as float32: exact, for every value there is."""

from __future__ import annotations

import numpy as np
import pytest

from mergesearch._kernels.stored import to_float32

BITS = np.arange(1 << 16, dtype=np.uint32).astype(np.uint16)


def test_float32_is_left_as_it_is() -> None:
    rows = np.ones((2, 3), np.float32)
    assert to_float32(rows) is rows


def test_every_float16() -> None:
    halves = BITS.view(np.float16)
    assert np.array_equal(to_float32(halves), halves.astype(np.float32), equal_nan=True)


def test_every_bfloat16_is_the_upper_half_of_a_float32() -> None:
    expected = (BITS.astype(np.uint32) << 16).view(np.float32)
    assert np.array_equal(to_float32(BITS).view(np.uint32), expected.view(np.uint32))


@pytest.mark.parametrize("shape", [(4, 8), (1, 32), (32,)])
def test_shapes_stay(shape: tuple[int, ...]) -> None:
    rows = np.arange(32, dtype=np.float16).reshape(shape)
    assert to_float32(rows).shape == shape
    assert to_float32(rows).dtype == np.float32


def test_rows_that_are_not_contiguous() -> None:
    rows = np.arange(12, dtype=np.float16).reshape(3, 4)[:, ::2]
    assert to_float32(rows).tolist() == [[0, 2], [4, 6], [8, 10]]
