"""The NEON variant's merging, cross-compiled and run by an emulator, against this machine's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers import arm

from mergesearch._kernels import DIGIT_TABLES, kernels

pytestmark = arm.MARKS


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return arm.compiled(
        Path(__file__).with_name("run_combine.cpp"), tmp_path_factory.mktemp("neon")
    )


@pytest.mark.parametrize("elect", [False, True])
def test_neon_and_scalar_on_arm_equal_this_machine(program: Path, elect: bool) -> None:
    rng = np.random.default_rng(6)
    entries = 5003
    values = rng.integers(-300, 301, (4, 1, entries)).astype(np.float32) / 200
    base, first = values[0].astype(np.float16), (values[1].view(np.uint32) >> 16).astype(np.uint16)
    second, third = values[2].astype(np.float16), values[3] / 3
    head = np.array([entries, elect], np.int64)
    stream = b"".join(one.tobytes() for one in (head, base, first, second, third))
    found = arm.run(program, stream)

    rows = np.empty((1, 4 * entries), np.uint8)
    cut = (0x3F000000, entries // 2)
    terms = [(0.3, 1.25, *cut), (-0.9, 1.0, *cut), (0.7, 1.0, *cut)]
    divisor = 1.0 if elect else 1.7
    inputs = [first, second, third]
    bad = kernels().combine(0, inputs, base, terms, divisor, 0.8, elect, elect, 0, rows)
    assert bad == -1
    tables = np.zeros((DIGIT_TABLES, 1 << 11), np.uint32)
    kernels().count_digits(first, base, 0, 20, tables)
    assert tables.sum() == entries
    assert found == (rows.tobytes() + tables.tobytes()) * 2
