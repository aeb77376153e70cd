"""The NEON variant's merging, cross-compiled and run by an emulator, against this machine's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers import arm

from mergesearch._kernels import DIGIT_TABLES, Consensus, kernels, mask_of
from mergesearch._kernels.stored import Stored

pytestmark = arm.MARKS
ROWS, COLS = 7, 715


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return arm.compiled(
        Path(__file__).with_name("run_merging.cpp"), tmp_path_factory.mktemp("neon")
    )


def found_here(base: Stored, inputs: list[Stored]) -> list[np.ndarray]:
    """What run_merging.cpp computes, by the fastest variant of this machine."""
    size, first = base.size, inputs[0]
    random, cut, ranks = mask_of(size), mask_of(size), mask_of(size)
    kernels().random_mask(3, 4, 5, size, 1 << 31, random)
    kernels().cut_mask(first, base, 7, 0x3F000000, size // 2, cut)
    thresholds = (((np.arange(COLS, dtype=np.uint64) + 1) << 31) // COLS).astype(np.uint32)
    kernels().rank_mask(first, base, 0, 3, 4, thresholds, ranks)
    tables = np.zeros((DIGIT_TABLES, 1 << 11), np.uint32)
    kernels().count_digits(first, base, 0, 20, tables)
    sums = np.array(kernels().sum_magnitudes(first, base, ranks))
    products, columns = np.empty((1, 6)), np.empty((6, COLS))
    kernels().gram(inputs, None, True, products)
    kernels().gram_of_columns(inputs, base, columns)
    squares, best, log_sums = np.empty(3), np.empty(ROWS, np.int64), np.empty(ROWS)
    kernels().squares(inputs, base, None, squares)
    kernels().log_sums(inputs[2], best, log_sums)
    variances, importances = np.empty((2, ROWS, COLS), np.float32)
    divergences = np.empty(ROWS, np.float32)
    kernels().variances(inputs, base, variances)
    kernels().divergences(first, base, divergences)
    kernels().importances(first, base, divergences, importances)
    merged = [_merged(base, inputs, consensus, [random, cut, None]) for consensus in range(6)]
    masks = [random, cut, ranks, tables]
    products_and_chances = [sums, products, columns, squares, best, log_sums]
    return [*masks, *products_and_chances, variances, divergences, importances, *merged]


def _merged(
    base: Stored, inputs: list[Stored], consensus: int, kept: list[np.ndarray | None]
) -> np.ndarray:
    near, median = consensus == 4, consensus == 5
    count = 1 if near else 3
    merged = np.empty((ROWS, 4 * COLS), np.uint8)
    first_nonfinite = kernels().combine(
        0,
        inputs[:count],
        None if median else base,
        kept=kept[:count],
        factors=np.array([1.25, 1, 1], np.float32)[:count],
        weights=np.array([[0.3], [-0.9], [0.7]], np.float32)[:count],
        consensus=Consensus(consensus),
        deltas=not near and not median,
        normalize=True,
        limit=0.25,
        divisor=1.7,
        scale=np.array([0.8], np.float32),
        base_scale=np.ones(1, np.float32),
        by_column=False,
        into=merged,
    )
    assert first_nonfinite == -1
    return merged


def test_neon_and_scalar_on_arm_equal_this_machine(program: Path) -> None:
    rng = np.random.default_rng(6)
    values = rng.integers(-300, 301, (4, ROWS, COLS)).astype(np.float32) / 200
    base, second = values[0].astype(np.float16), values[2].astype(np.float16)
    first = (values[1].view(np.uint32) >> 16).astype(np.uint16)
    inputs = [first, second, values[3] / 3]
    head = np.array([ROWS, COLS], np.int64)
    found = arm.run(program, b"".join(array.tobytes() for array in (head, base, *inputs)))
    assert found == b"".join(array.tobytes() for array in found_here(base, inputs)) * 2
