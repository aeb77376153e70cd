"""Kernels of merging against plain NumPy, to the bit, on every instruction set of this machine.

Differences of stored values are taken in float32; sums are NumPy's own, in float64.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pytest
from helpers.variants import VARIANTS, each_variant
from hypothesis import given
from hypothesis import strategies as st

from mergesearch._kernels import Variant, mask_of
from mergesearch._kernels.stored import Stored, to_float32

SHAPES = [(1, 1), (5, 1), (1, 31), (3, 7), (4, 32), (9, 200), (2, 1031), (1, 5003), (3, 2048)]
SUBNORMAL = np.float32(1e-40)


class Parents(NamedTuple):
    """A base and inputs, as stored."""

    base: Stored
    inputs: list[Stored]

    def deltas(self) -> list[np.ndarray]:
        return [to_float32(values) - to_float32(self.base) for values in self.inputs]


def as_stored(values: np.ndarray, dtype: str) -> Stored:
    if dtype == "bfloat16":
        return (values.view(np.uint32) >> np.uint32(16)).astype(np.uint16)
    return values.astype(dtype)


def _values(rng: np.random.Generator, shape: tuple[int, int], spread: str) -> np.ndarray:
    """Weights whose differences are smooth, a few steps, all equal, zero, tiny or far apart."""
    match spread:
        case "smooth":
            values = rng.standard_normal(shape) * 0.02
        case "steps":
            values = rng.integers(-3, 4, shape) / 4
        case "equal":
            values = np.full(shape, rng.integers(1, 3))
        case "zero":
            values = np.where(rng.random(shape) < 0.5, -0.0, 0.0)
        case "subnormal":
            values = rng.integers(-9, 10, shape) * float(SUBNORMAL)
        case _:
            values = rng.standard_normal(shape) * 10.0 ** rng.uniform(-38, 4, shape)
    return np.ascontiguousarray(values, dtype=np.float32)


SPREADS = st.sampled_from(["smooth", "steps", "equal", "zero", "subnormal", "apart"])
DTYPES = st.sampled_from(["float32", "float16", "bfloat16"])


@st.composite
def parents(draw: st.DrawFn, least: int = 1, most: int = 5) -> Parents:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = draw(st.sampled_from(SHAPES))
    stored = [
        as_stored(_values(rng, shape, draw(SPREADS)), draw(DTYPES))
        for _ in range(draw(st.integers(least, most)) + 1)
    ]
    return Parents(stored[0], stored[1:])


def bits_of(mask: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    count = int(np.prod(shape))
    bits = np.unpackbits(mask.view(np.uint8), bitorder="little")[:count]
    return bits.astype(bool).reshape(shape)


def random_mask(rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """A mask, and which entries it keeps."""
    kept = rng.random(shape) < 0.6
    mask = mask_of(kept.size)
    packed = np.packbits(kept.reshape(-1), bitorder="little")
    mask.view(np.uint8)[: packed.size] = packed
    return mask, kept


def assert_same_bits(found: np.ndarray, expected: np.ndarray) -> None:
    assert found.dtype == expected.dtype
    bits = np.uint32 if found.dtype == np.float32 else np.uint64
    np.testing.assert_array_equal(found.view(bits), expected.view(bits))


def philox(key: int, offset: int, size: int) -> np.ndarray:
    """The 32-bit numbers of flat indices, by NumPy's generator from its very beginning."""
    words = np.random.Philox(key=key).random_raw((offset + size + 8) // 2)
    return words.view(np.uint32)[offset : offset + size]


KEYS = st.integers(0, 2**128 - 1)
OFFSETS = st.integers(0, 40)


@each_variant
@given(KEYS, OFFSETS, st.integers(1, 5000), st.integers(0, 2**32 - 1))
def test_random_masks_are_numpys_philox(
    variant: Variant, key: int, offset: int, size: int, below: int
) -> None:
    mask = mask_of(size)
    variant.random_mask(key % 2**64, key >> 64, offset, size, below, mask)
    assert np.array_equal(bits_of(mask, (size,)), philox(key, offset, size) < below)


@each_variant
@given(parents(most=1), OFFSETS, st.data())
def test_cut_masks(variant: Variant, given: Parents, offset: int, data: st.DataObject) -> None:
    """Entries above the cut's magnitude, and of equal ones those before the end."""
    delta = given.deltas()[0]
    magnitudes = np.abs(delta).view(np.uint32)
    lowest = data.draw(st.sampled_from([*map(int, magnitudes.flat[:20]), 0, 2**32 - 1]))
    end = data.draw(st.integers(0, offset + delta.size + 1))
    mask = mask_of(delta.size)
    variant.cut_mask(given.inputs[0], given.base, offset, lowest, end, mask)
    place = offset + np.arange(delta.size).reshape(delta.shape)
    expected = (magnitudes > lowest) | ((magnitudes == lowest) & (place < end))
    assert np.array_equal(bits_of(mask, delta.shape), expected)


@each_variant
@given(parents(most=1), KEYS, st.integers(0, 3), st.sampled_from([0.0, 0.1, 0.5]))
def test_rank_masks_are_those_of_a_stable_sort(
    variant: Variant, given: Parents, key: int, row: int, epsilon: float
) -> None:
    delta = given.deltas()[0]
    cols = delta.shape[1]
    chances = 0.5 + epsilon * np.linspace(-1.0, 1.0, cols) if cols > 1 else np.full(1, 0.5)
    thresholds = np.minimum(chances * 2.0**32, 2**32 - 1).astype(np.uint32)
    mask = mask_of(delta.size)
    inputs = (given.inputs[0], given.base, row * cols)
    variant.rank_mask(*inputs, key % 2**64, key >> 64, thresholds, mask)
    ranks = np.argsort(np.argsort(np.abs(delta), axis=1, kind="stable"), axis=1)
    numbers = philox(key, row * cols, delta.size).reshape(delta.shape)
    assert np.array_equal(bits_of(mask, delta.shape), numbers < thresholds[ranks])


@each_variant
@given(parents(most=1), st.booleans())
def test_sums_of_magnitudes(variant: Variant, given: Parents, on_base: bool) -> None:
    delta = given.deltas()[0] if on_base else to_float32(given.inputs[0])
    mask, kept = random_mask(np.random.default_rng(1), delta.shape)
    found = variant.sum_magnitudes(given.inputs[0], given.base if on_base else None, mask)
    sums = [np.abs(values).sum(dtype=np.float64) for values in (delta, delta * kept)]
    assert list(found) == sums


def products(vectors: Sequence[np.ndarray], axis: int | None) -> np.ndarray:
    """Inner products of each vector with those before it and itself."""
    wide = [vector.astype(np.float64) for vector in vectors]
    pairs = itertools.combinations_with_replacement(range(len(wide)), 2)
    ordered = sorted(pairs, key=lambda pair: (pair[1], pair[0]))
    return np.array([np.sum(wide[j] * wide[i], axis=axis) for i, j in ordered])


@each_variant
@given(parents(), st.booleans())
def test_inner_products(variant: Variant, given: Parents, on_base: bool) -> None:
    vectors = given.deltas() if on_base else [to_float32(values) for values in given.inputs]
    inputs = (given.inputs, given.base if on_base else None)
    pairs = len(vectors) * (len(vectors) + 1) // 2
    whole, rows = np.empty((1, pairs)), np.empty((len(vectors[0]), pairs))
    variant.gram(*inputs, False, whole)
    variant.gram(*inputs, False, rows)
    assert_same_bits(whole[0], products(vectors, None))
    assert_same_bits(rows.T.copy(), products(vectors, -1))


@each_variant
@given(parents(), st.booleans(), st.booleans())
def test_squares(variant: Variant, given: Parents, on_base: bool, masked: bool) -> None:
    vectors = given.deltas() if on_base else [to_float32(values) for values in given.inputs]
    mask, kept = random_mask(np.random.default_rng(3), vectors[0].shape)
    if masked:
        vectors = [vector * kept for vector in vectors]
    found = np.empty(len(vectors))
    base = given.base if on_base else None
    variant.squares(given.inputs, base, mask if masked else None, found)
    assert_same_bits(found, np.array([products([vector], None)[0] for vector in vectors]))


@each_variant
@given(parents(), st.booleans())
def test_inner_products_of_columns(variant: Variant, given: Parents, on_base: bool) -> None:
    vectors = given.deltas() if on_base else [to_float32(values) for values in given.inputs]
    if vectors[0].shape[1] == 1:
        return  # NumPy adds up a single column as it adds up everything
    found = np.empty((len(vectors) * (len(vectors) + 1) // 2, vectors[0].shape[1]))
    variant.gram_of_columns(given.inputs, given.base if on_base else None, found)
    assert_same_bits(found, products(vectors, 0))


@each_variant
@given(parents(least=2))
def test_inner_products_seen_from_the_middle(variant: Variant, given: Parents) -> None:
    wide = np.stack([to_float32(values).reshape(-1) for values in given.inputs]).astype(np.float64)
    wide = wide - (wide.mean(axis=0) + np.median(wide, axis=0)) / 2
    found = np.empty((1, len(wide) * (len(wide) + 1) // 2))
    variant.gram(given.inputs, None, True, found)
    assert_same_bits(found[0], products(list(wide), None))


@each_variant
@given(parents())
def test_variances(variant: Variant, given: Parents) -> None:
    deltas = np.stack(given.deltas())
    found = np.empty(deltas.shape[1:], np.float32)
    variant.variances(given.inputs, given.base, found)
    assert_same_bits(found, np.var(deltas, axis=0, dtype=np.float64).astype(np.float32))


def divergences(values: np.ndarray, base: np.ndarray) -> np.ndarray:
    """KL(softmax(values) || softmax(base)) of each row."""

    def softmax(rows: np.ndarray) -> np.ndarray:
        wide = rows.astype(np.float64)
        raised = np.exp(wide - wide.max(axis=-1, keepdims=True))
        return raised / raised.sum(axis=-1, keepdims=True) + 1e-8

    chances, others = softmax(values), softmax(base)
    return np.maximum(np.sum(chances * np.log(chances / others), axis=-1), 0.0)


@each_variant
@given(st.integers(0, 2**32 - 1), st.sampled_from(SHAPES), st.sampled_from([1e-3, 0.1, 3.0, 300.0]))
def test_divergences_are_numpys_but_for_rounding(
    variant: Variant, seed: int, shape: tuple[int, int], scale: float
) -> None:
    """exp and log are our own: they agree to a few units in the last place of float64."""
    rng = np.random.default_rng(seed)
    base = (rng.standard_normal(shape) * scale).astype(np.float32)
    values = (base + rng.standard_normal(shape) * 0.1 * scale).astype(np.float32)
    found = np.empty(shape[0], np.float32)
    variant.divergences(values, base, found)
    np.testing.assert_allclose(found, divergences(values, base), rtol=2e-7, atol=1e-15)


@given(parents(most=1))
def test_divergences_are_the_same_on_every_instruction_set(given: Parents) -> None:
    found = np.empty((len(VARIANTS), len(given.base)), np.float32)
    for variant, row in zip(VARIANTS, found, strict=True):
        variant.divergences(given.inputs[0], given.base, row)
    assert_same_bits(found, np.broadcast_to(found[-1], found.shape).copy())


@each_variant
@given(parents(most=1))
def test_importances(variant: Variant, given: Parents) -> None:
    delta = given.deltas()[0]
    of_rows = np.linspace(0, 2, len(delta)).astype(np.float32)
    found = np.empty_like(delta)
    variant.importances(given.inputs[0], given.base, of_rows, found)
    assert_same_bits(found, np.abs(delta) * of_rows[:, None])


@each_variant
def test_arrays_that_do_not_fit_are_refused(variant: Variant) -> None:
    rows, mask = np.zeros((2, 4), np.float32), mask_of(8)
    with pytest.raises(ValueError, match="mask of another size"):
        variant.random_mask(0, 0, 0, 80, 1, mask)
    with pytest.raises(ValueError, match="different sizes"):
        variant.cut_mask(rows, rows[:1], 0, 0, 0, mask)
    with pytest.raises(ValueError, match="one threshold"):
        variant.rank_mask(rows, rows, 0, 0, 0, np.zeros(3, np.uint32), mask)
    with pytest.raises(ValueError, match="one sum for each pair"):
        variant.gram([rows, rows], None, False, np.empty((1, 2)))
    with pytest.raises(ValueError, match="one sum for each"):
        variant.squares([rows, rows], None, None, np.empty(1))
    with pytest.raises(ValueError, match="float32, float16 or uint16"):
        variant.variances([rows.astype(np.float64)], None, np.empty_like(rows))
    with pytest.raises(TypeError):
        variant.gram([rows], None, False, np.empty((1, 1), np.float32))  # type: ignore
