"""Rows of a stage that several passes read: computed once, or each time where there is no room."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from mergesearch._system.spare import Spare
from mergesearch.merge import rows
from mergesearch.merge.rows import KeptRows, row_blocks

ROWS, COLS, STEP = 10, 3, 4
WHOLE = np.arange(ROWS * COLS, dtype=np.float32).reshape(ROWS, COLS)


class Computing:
    """Rows with a note of which were computed."""

    def __init__(self) -> None:
        self.spans: list[tuple[int, int]] = []

    def __call__(self, start: int, stop: int) -> np.ndarray:
        self.spans.append((start, stop))
        return WHOLE[start:stop].copy()


def read(kept: KeptRows, *edges: int) -> np.ndarray:
    return np.concatenate([kept.rows(start, stop) for start, stop in pairwise(edges)])


@pytest.mark.parametrize("memory", [10**6, 0], ids=["in memory", "in a file"])
def test_every_pass_but_the_first_reads_what_is_kept(memory: int, tmp_path: Path) -> None:
    computing = Computing()
    kept = KeptRows(computing, (ROWS, COLS), STEP, Spare(memory, tmp_path))
    for _ in range(3):
        assert np.array_equal(read(kept, 0, 4, 8, 10), WHOLE)
    assert np.array_equal(read(kept, 0, 1, 7, 10), WHOLE)  # cut otherwise
    assert computing.spans == [(0, 4), (4, 8), (8, 10)]
    assert list(tmp_path.iterdir()) == []


def test_what_is_cut_otherwise_before_its_block_is_kept_is_computed() -> None:
    computing = Computing()
    kept = KeptRows(computing, (ROWS, COLS), STEP, Spare(10**6))
    assert np.array_equal(read(kept, 0, 3, 8), WHOLE[:8])
    assert np.array_equal(read(kept, 0, 8, 10), WHOLE)
    assert np.array_equal(read(kept, 2, 9), WHOLE[2:9])
    assert computing.spans == [(0, 3), (3, 8), (0, 8), (8, 10)]


def test_without_room_rows_are_computed_each_time(tmp_path: Path) -> None:
    computing = Computing()
    kept = KeptRows(computing, (ROWS, COLS), STEP, Spare(0, tmp_path / "gone"))
    for _ in range(2):
        assert np.array_equal(read(kept, 0, 4, 8, 10), WHOLE)
    assert len(computing.spans) == 6


def test_blocks_of_rows_cover_a_tensor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "BLOCK_ELEMENTS", 30)
    assert list(row_blocks(0, 7, 10)) == [(0, 3), (3, 6), (6, 7)]
    assert list(row_blocks(2, 10, 10, together=2)) == [(2, 4), (4, 6), (6, 8), (8, 10)]
    assert list(row_blocks(5, 5, 10)) == []
