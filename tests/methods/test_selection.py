"""Cuts by magnitude against a stable sort, whole or in blocks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mergesearch.methods.selection import (
    _LARGE,
    ALL,
    NONE,
    Cut,
    Entries,
    count_cuts,
    mask_of_cut,
    ranked,
)


def entries_of(values: np.ndarray, block: int) -> Entries:
    starts = range(0, len(values), block)
    return lambda use: [
        use(start // block, values[start : start + block], None) for start in starts
    ]


def apply(cut: Cut, values: np.ndarray, block: int) -> np.ndarray:
    """The values with what the cut drops multiplied by zero, block by block."""
    masks = [
        mask_of_cut(cut, start, values[start : start + block])
        for start in range(0, len(values), block)
    ]
    bits = [np.unpackbits(mask.view(np.uint8), bitorder="little")[:block] for mask in masks]
    return values * np.concatenate(bits)[: len(values)].astype(np.float32)


def cut_in_blocks(values: np.ndarray, count: int, block: int) -> np.ndarray:
    """The values with thresholds and masks computed over blocks."""
    (cut,) = count_cuts(entries_of(values, block), len(values), [count])
    return apply(cut, values, block)


def cut_by_sorting(values: np.ndarray, count: int) -> np.ndarray:
    """The same by a stable sort."""
    order = np.argsort(-np.abs(values), kind="stable")[:count]
    result = np.zeros_like(values)
    result[order] = values[order]
    return result


NUMBERS = st.floats(-(2.0**100), 2.0**100, width=32) | st.sampled_from(
    [0.0, -0.0, 1.0, -1.0, 0.5, 1e-40]
)


@given(
    values=st.lists(NUMBERS, min_size=1, max_size=60),
    shares=st.lists(st.floats(0, 1), min_size=1, max_size=4),
    block=st.integers(1, 60),
)
def test_ranks_equal_those_of_sorting(values: list[float], shares: list[float], block: int) -> None:
    """Several at once, in any order, equal ones among them."""
    array = np.array(values, dtype=np.float32)
    ranks = [int(share * (len(array) - 1)) for share in shares]
    found = ranked(entries_of(array, block), len(array), ranks)
    assert np.array_equal(found, np.sort(np.abs(array))[ranks])


@given(
    values=st.lists(NUMBERS, min_size=1, max_size=60),
    counts=st.lists(st.integers(0, 60), min_size=1, max_size=4),
    block=st.integers(1, 60),
)
def test_cuts_equal_a_stable_sort(values: list[float], counts: list[int], block: int) -> None:
    """Of any values, many of them equal, by any blocks, several cuts at once."""
    array = np.array(values, dtype=np.float32)
    counts = [min(count, len(values)) for count in counts]
    cuts = count_cuts(entries_of(array, block), len(array), counts)
    for cut, count in zip(cuts, counts, strict=True):
        assert np.array_equal(apply(cut, array, block), cut_by_sorting(array, count))


def test_equal_magnitudes_keep_the_earlier() -> None:
    array = np.array([1, -2, 2, -2, 2, 3], dtype=np.float32)
    assert cut_in_blocks(array, 3, 2).tolist() == [0, -2, 2, 0, 0, 3]


def test_extremes() -> None:
    array = np.array([0.0, 5.0, 0.1], dtype=np.float32)
    assert count_cuts(entries_of(array, 3), 3, [3, 0]) == [ALL, NONE]
    assert apply(NONE, array, 3).tolist() == [0, 0, 0]
    assert cut_in_blocks(array, 1, 2).tolist() == [0, 5, 0]


@pytest.mark.parametrize(
    ("size", "density"),
    [
        *((100_000, density) for density in (0.1, 0.5, 0.93)),
        pytest.param(_LARGE + 5, 0.5, marks=pytest.mark.long),
    ],
)
@pytest.mark.parametrize("steps", [0, 1000])
def test_large_random_tensor(size: int, density: float, steps: int) -> None:
    """With narrow digits and wide ones, all entries different or many of them equal."""
    array = np.random.default_rng(0).standard_normal(size).astype(np.float32)
    if steps:
        array = np.round(array * steps).astype(np.float32)
    count = int(density * size)
    assert np.array_equal(cut_in_blocks(array, count, 70_000), cut_by_sorting(array, count))


def test_numbers_that_are_not_finite_stay_visible() -> None:
    array = np.array([np.nan, 1.0, 2.0, 3.0], dtype=np.float32)
    assert np.isnan(cut_in_blocks(array, 1, 4)).any()
