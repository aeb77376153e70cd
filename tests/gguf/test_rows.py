"""What the converter does to rows, and back."""

from __future__ import annotations

import numpy as np

from mergesearch.gguf import RowChange, Segment, StoredTensor


def test_rows_of_a_head_interleave_its_halves() -> None:
    """Rows 0, 1, 2, 3 of a head become 0, 2, 1, 3; a bias likewise; and back."""
    change = RowChange(together=4)
    block = np.arange(16, dtype=np.float32).reshape(8, 2)
    stored = change.to_gguf(block)
    assert (stored[:, 0] / 2).tolist() == [0, 2, 1, 3, 4, 6, 5, 7]
    assert change.from_gguf(stored).tolist() == block.tolist()
    bias = np.arange(8, dtype=np.float32).reshape(1, 8)
    assert change.to_gguf(bias).tolist() == [[0, 2, 1, 3, 4, 6, 5, 7]]
    assert change.from_gguf(change.to_gguf(bias)).tolist() == bias.tolist()
    assert RowChange().to_gguf(block) is block


def test_what_is_added_is_taken_off_again() -> None:
    change = RowChange(together=2, added=1.0)
    block = np.arange(8, dtype=np.float32).reshape(4, 2)
    stored = change.to_gguf(block)
    assert stored.tolist() == (block + 1).tolist()  # a head of two rows keeps its order
    assert change.from_gguf(stored).tolist() == block.tolist()


def test_rows_and_columns_of_a_stored_tensor() -> None:
    segments = (Segment("a", 0, 4),)
    matrix, vector = StoredTensor("m", (4, 6), segments), StoredTensor("v", (6,), segments)
    experts = StoredTensor("e", (2, 4, 6), segments)
    assert (matrix.rows, matrix.cols, matrix.is_vector) == (4, 6, False)
    assert (vector.rows, vector.cols, vector.is_vector) == (6, 1, True)
    assert (experts.rows, experts.cols, experts.is_vector) == (8, 6, False)
