"""SCE on single tensors: by hand, against a formulation by sorting, and in blocks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from helpers.blockwise import merge
from hypothesis import given
from hypothesis import strategies as st

from mergesearch._system.spare import Spare
from mergesearch.methods import METHODS, InputRows, InputTensor, sce


def run(base: np.ndarray, *inputs: np.ndarray, select_topk: float, step: int = 3) -> np.ndarray:
    """Merge and collect statistics in blocks of `step` rows."""
    edges = range(step, len(base), step)
    return merge("sce", base, *inputs, counted=edges, merged=edges, select_topk=select_topk)


def by_sorting(base: np.ndarray, *inputs: np.ndarray, select_topk: float) -> np.ndarray:
    """Select, calculate, erase over the whole tensor in float64."""
    deltas = np.stack([(source - base).astype(float).ravel() for source in inputs])
    variance = deltas.var(axis=0).astype(np.float32)
    count = int(np.count_nonzero(variance) * select_topk)
    selected = np.zeros(base.size)
    selected[np.argsort(-variance, kind="stable")[:count]] = 1
    if select_topk < 1:
        deltas = deltas * selected
    energy = np.square(deltas).mean(axis=1)
    weights = (
        energy / energy.sum() if energy.sum() >= 1e-6 else np.full(len(inputs), 1 / len(inputs))
    )
    sign = np.where(deltas.sum(axis=0) >= 0, 1, -1)
    erased = weights[:, None] * (np.sign(deltas) == sign)
    merged = (deltas * erased).sum(axis=0) / np.maximum(erased.sum(axis=0), 1e-6)
    return base + merged.reshape(base.shape)


def test_by_hand() -> None:
    """Variances 4, 0, 1, 0.25: half of the three that differ is one entry, the first."""
    base = np.zeros((1, 4), np.float32)
    a = np.array([[5.0, 1.0, 2.0, 0.5]], np.float32)
    b = np.array([[1.0, 1.0, 0.0, -0.5]], np.float32)
    # weights 25/26 and 1/26 of what is selected
    found = run(base, a, b, select_topk=0.5)
    np.testing.assert_allclose(found, [[(5 * 25 + 1) / 26, 0, 0, 0]], rtol=1e-6)


def test_entries_of_the_minority_sign_are_erased() -> None:
    base = np.zeros((1, 2), np.float32)
    a, b = np.array([[3.0, -1.0]], np.float32), np.array([[-1.0, -3.0]], np.float32)
    assert run(base, a, b, select_topk=1.0).tolist() == [[3.0, -2.0]]


@given(seed=st.integers(0, 1000), select_topk=st.floats(0, 1), step=st.integers(1, 7))
def test_equals_sorting(seed: int, select_topk: float, step: int) -> None:
    rng = np.random.default_rng(seed)
    base, *inputs = (rng.standard_normal((7, 5)).astype(np.float32) for _ in range(4))
    inputs[1][2] = base[2]
    found = run(base, *inputs, select_topk=select_topk, step=step)
    expected = by_sorting(base, *inputs, select_topk=select_topk)
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6)


@pytest.mark.parametrize("select_topk", [0.0, 0.5])
def test_nothing_selected_is_the_base(select_topk: float) -> None:
    """No share, and equal parents, which differ nowhere."""
    rng = np.random.default_rng(1)
    base, a = (rng.standard_normal((4, 4)).astype(np.float32) for _ in range(2))
    other = a if select_topk else rng.standard_normal((4, 4)).astype(np.float32)
    assert np.array_equal(run(base, a, other, select_topk=select_topk), base)


def test_tiny_deltas_have_equal_weights() -> None:
    """A mean square below 1e-6 in all: mergekit's guard, which real fine-tunes can reach."""
    base = np.zeros((1, 2), np.float32)
    a, b = np.full((1, 2), 3e-4, np.float32), np.full((1, 2), 1e-4, np.float32)
    np.testing.assert_allclose(run(base, a, b, select_topk=1.0), 2e-4, rtol=1e-6)


def test_variances_are_computed_once_where_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passes that count, and the one that sums squares, share them; the result does not change."""
    rng = np.random.default_rng(3)
    base, *inputs = (rng.standard_normal((6, 8)).astype(np.float32) for _ in range(3))
    settings = METHODS["sce"].settings(lambda parameter, _: 0.5, 2)
    computed: list[int] = []
    compute = sce._variances

    def variances(rows: InputRows, into: np.ndarray) -> None:
        computed.append(rows.offset)
        compute(rows, into)

    monkeypatch.setattr(sce, "_variances", variances)
    blocks = [
        InputRows(base[start : start + 2], [values[start : start + 2] for values in inputs], at)
        for start, at in ((0, 0), (2, 16), (4, 32))
    ]
    found = []
    for room in (10**6, 100, 0):
        computed.clear()
        tensor = replace(InputTensor.of(blocks), spare=Spare(room))
        selected = sce.sce_statistics(tensor, settings)
        found.append((selected.weights, len(computed)))
    assert found[0][0] == found[1][0] == found[2][0]
    assert found[0][1] == 3
    assert found[0][1] < found[1][1] < found[2][1]
