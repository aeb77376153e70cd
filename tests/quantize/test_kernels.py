"""The kernels against ggml: the same bytes on every instruction set, for every input."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

import gguf
import numpy as np
import pytest
from gguf import GGMLQuantizationType as Type
from helpers.cases import (
    BEYOND_IMPORTANCE,
    BEYOND_ROUNDING,
    CASES,
    assert_same,
    importances,
    real_weights,
    skewed_rows,
)
from helpers.variants import VARIANTS, each_variant
from hypothesis import given
from hypothesis import strategies as st

from mergesearch._kernels import Variant
from mergesearch.quantize import dequantize_rows, quantize_rows
from mergesearch.quantize.formats import TYPES, block_elements, row_bytes
from tools.quantization import ggml

each_kind = pytest.mark.parametrize("kind", TYPES, ids=lambda kind: kind.name)


@each_variant
@each_kind
def test_awkward_rows_equal_ggml(kind: Type, variant: Variant) -> None:
    for case, make in CASES.items():
        rows = make()
        for name, importance in importances(rows.shape[1]).items():
            expected = ggml.quantize_rows(rows, kind, importance)
            found = quantize_rows(rows, kind, importance, variant=variant)
            assert_same(found, expected, rows, kind, f"{case}, importance {name}, {variant.name}")


@each_variant
@each_kind
def test_skewed_importances_equal_ggml(kind: Type, variant: Variant) -> None:
    for seed in (0, 1, 2, 3, 4, 5, 11, 20):
        rows, importance = skewed_rows(seed)
        expected = ggml.quantize_rows(rows, kind, importance)
        found = quantize_rows(rows, kind, importance, variant=variant)
        assert_same(found, expected, rows, kind, f"seed {seed}, {variant.name}")


@each_variant
def test_levels_beyond_rounding_equal_ggml(variant: Variant) -> None:
    expected = ggml.quantize_rows(BEYOND_ROUNDING, Type.Q5_1, BEYOND_IMPORTANCE)
    found = quantize_rows(BEYOND_ROUNDING, Type.Q5_1, BEYOND_IMPORTANCE, variant=variant)
    assert_same(found, expected, BEYOND_ROUNDING, Type.Q5_1, variant.name)


@each_variant
@each_kind
def test_real_weights_equal_ggml(kind: Type, variant: Variant) -> None:
    for name, rows in real_weights().items():
        if rows.shape[1] % block_elements(kind):
            continue
        for importance in importances(rows.shape[1]).values():
            expected = ggml.quantize_rows(rows, kind, importance)
            found = quantize_rows(rows, kind, importance, variant=variant)
            assert_same(found, expected, rows, kind, f"{name}, {variant.name}")


@each_variant
@each_kind
def test_every_length_of_row_equals_ggml(kind: Type, variant: Variant) -> None:
    """From one block on: rows that fill no vector, and rows that end inside of one."""
    rng = np.random.default_rng(1)
    for blocks in range(1, 20):
        cols = blocks * block_elements(kind)
        for count in (1, 3):
            rows = rng.standard_normal((count, cols)).astype(np.float32)
            for name in ("none", "even"):
                importance = importances(cols)[name]
                expected = ggml.quantize_rows(rows, kind, importance)
                found = quantize_rows(rows, kind, importance, variant=variant)
                assert_same(found, expected, rows, kind, f"{rows.shape}, {variant.name}")


@each_kind
@given(
    pool=st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1),
    noise=st.sampled_from([0.0, 1e-7, 0.1]),
    weights=st.lists(st.floats(0, 2.0**100, width=32), max_size=4),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_numbers_equal_ggml(
    kind: Type, pool: list[float], noise: float, weights: list[float], seed: int
) -> None:
    """A few values that repeat, as they are or spread a little, with any importance."""
    rng = np.random.default_rng(seed)
    drawn = rng.choice(np.array(pool), (2, 256)) * (1 + noise * rng.standard_normal((2, 256)))
    limit = np.finfo(np.float32).max
    rows = drawn.clip(-limit, limit).astype(np.float32)
    importance = rng.choice(np.array(weights, np.float32), 256) if weights else None
    expected = ggml.quantize_rows(rows, kind, importance)
    for variant in VARIANTS:
        found = quantize_rows(rows, kind, importance, variant=variant)
        assert_same(found, expected, rows, kind, variant.name)


@each_kind
def test_rows_are_independent_of_threads_and_cuts(kind: Type) -> None:
    """Row by row in four threads gives the bytes of all rows at once."""
    rows = np.random.default_rng(0).standard_normal((16, 512)).astype(np.float32)
    whole = quantize_rows(rows, kind)
    assert whole.shape == (16, row_bytes(kind, 512))
    with ThreadPoolExecutor(4) as pool:
        alone = list(pool.map(lambda row: quantize_rows(rows[row : row + 1], kind), range(16)))
    assert np.array_equal(np.concatenate(alone), whole)


@each_variant
def test_the_interpreter_runs_meanwhile(variant: Variant) -> None:
    """A long call in a thread does not keep this thread from counting."""
    rows = np.random.default_rng(0).standard_normal((2048, 1024)).astype(np.float32)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(1) as pool:
            call = pool.submit(quantize_rows, rows, Type.Q4_K, variant=variant)
            count = 0
            while not call.done():
                count += 1
    finally:
        sys.setswitchinterval(interval)
    assert count > 100


def test_transposed_and_wider_views_are_copied() -> None:
    rows = np.random.default_rng(2).standard_normal((256, 512))
    expected = quantize_rows(np.ascontiguousarray(rows.T, dtype=np.float32), Type.Q4_K)
    assert np.array_equal(quantize_rows(rows.T, Type.Q4_K), expected)  # type: ignore[arg-type]


def test_no_rows_give_no_blocks() -> None:
    assert quantize_rows(np.empty((0, 256), np.float32), Type.Q4_K).shape == (0, 144)


def test_unsuited_rows_types_and_importances_are_refused() -> None:
    rows = np.zeros((2, 512), np.float32)
    with pytest.raises(ValueError, match="multiple of 256"):
        quantize_rows(rows[:, :100], Type.Q4_K)
    with pytest.raises(ValueError, match="Q2_K"):
        quantize_rows(rows, Type.Q2_K)
    with pytest.raises(ValueError, match=r"\(256,\), not \(512,\)"):
        quantize_rows(rows, Type.Q4_K, np.ones(256, np.float32))


@each_variant
def test_the_extension_checks_shapes_itself(variant: Variant) -> None:
    """No wrong size reaches a kernel, which would read or write past the end."""
    rows, into = np.zeros((2, 512), np.float32), np.zeros((2, 288), np.uint8)
    with pytest.raises(ValueError, match="does not fit"):
        variant.quantize(Type.Q4_K, rows, into[:, :-1].copy())
    with pytest.raises(ValueError, match="does not fit"):
        variant.quantize(Type.Q4_K, rows, into[:1])
    with pytest.raises(ValueError, match="one weight per column"):
        variant.quantize(Type.Q4_K, rows, into, np.ones(511, np.float32))
    with pytest.raises(ValueError, match="not the number"):
        variant.quantize(Type.Q2_K, rows, into)


@each_variant
@each_kind
@given(st.integers(1, 4), st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_any_bytes_dequantize_as_in_gguf(
    kind: Type, variant: Variant, rows: int, blocks: int, seed: int
) -> None:
    """To the bit, scales that are subnormal, infinite or NaN included."""
    size = row_bytes(kind, blocks * block_elements(kind))
    stored = np.random.default_rng(seed).integers(0, 256, (rows, size), dtype=np.uint8)
    with np.errstate(all="ignore"):
        expected = gguf.dequantize(stored, kind)
    found = dequantize_rows(stored, kind, variant=variant)
    numbers = ~np.isnan(expected)
    assert np.array_equal(numbers, ~np.isnan(found))
    assert np.array_equal(found[numbers].view(np.uint32), expected[numbers].view(np.uint32))


def test_blocks_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="does not fit the rows"):
        VARIANTS[0].dequantize(int(Type.Q8_0), np.zeros((1, 33), np.uint8), np.zeros((1, 32), "f4"))
    with pytest.raises(ValueError, match="not the number of a type"):
        VARIANTS[0].dequantize(99, np.zeros((1, 34), np.uint8), np.zeros((1, 32), "f4"))
