"""Single tensors against mergekit's methods: where vectors vanish, cancel or nearly agree.

mergekit computes in float64, so that what differs is more than its rounding.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from helpers.blockwise import merge

pytestmark = pytest.mark.mergekit

RNG = np.random.default_rng(23)
BASE, A, B, C = (RNG.standard_normal((12, 10)).astype(np.float32) for _ in range(4))
ZERO = np.zeros_like(A)
CLOSE = [BASE + np.float32(1e-4) * rows for rows in (A, B, C)]  # as short fine-tunes are
TINY = np.float32(1e-7) * A

Tensors = list[np.ndarray]
# method, base, other parents, parameters
CASES: dict[str, tuple[str, np.ndarray | None, Tensors, dict[str, Any]]] = {
    "no deltas": ("multislerp", BASE, [BASE, BASE], {}),
    "opposite": ("multislerp", None, [A, -A], {}),
    "opposite, of other lengths": ("multislerp", None, [A, -2 * A], {"weight": [1.0, 1.0]}),
    "nearly opposite": ("multislerp", None, [A, -A + np.float32(0.2) * B], {}),
    "zero beside another": ("multislerp", None, [ZERO, A, B], {}),
    "shorter than eps": ("multislerp", None, [TINY, A], {"eps": 1e-3}),
    "close": ("multislerp", None, CLOSE, {}),
    "close, deltas": ("multislerp", BASE, CLOSE, {"weight": [0.2, 1.0, -0.3]}),
    "weights that cancel": (
        "multislerp",
        None,
        [A, B],
        {"weight": [1.0, -1.0], "normalize_weights": False},
    ),
    "Karcher, zero beside others": ("karcher", None, [ZERO, A, B], {}),
    "Karcher, all zero": ("karcher", None, [ZERO, ZERO], {}),
    "Karcher, all too short": ("karcher", None, [TINY, TINY], {"tol": 1e-3}),
    "Karcher, one too short": ("karcher", None, [TINY, A, B], {"tol": 1e-3}),
    "Karcher, opposite": ("karcher", None, [A, -2 * A], {}),
    "Karcher, nearly opposite": ("karcher", None, [A, -A + np.float32(0.2) * B], {}),
    "Karcher, close": ("karcher", None, CLOSE, {"tol": 1e-9, "max_iter": 50}),
    "Karcher, of unlike lengths": ("karcher", None, [A, 100 * B, C / 100], {}),
    "slerp, zero": ("slerp", A, [ZERO], {"t": 0.25}),
    "slerp, opposite": ("slerp", A, [-2 * A], {"t": 0.25}),
    "slerp, close": ("slerp", BASE, [CLOSE[0]], {"t": 0.25}),
    "slerp, at its threshold": ("slerp", BASE, [BASE + np.float32(0.032) * A], {"t": 0.25}),
    "nuslerp, zero": ("nuslerp", None, [ZERO, A], {}),
    "nuslerp, opposite": ("nuslerp", None, [A, -2 * A], {}),
    "nuslerp, close": ("nuslerp", None, CLOSE[:2], {}),
    "model_stock, opposite": ("model_stock", ZERO, [A, -A], {}),
    "model_stock, base among them": ("model_stock", BASE, [BASE, A, B], {}),
    "model_stock, close": ("model_stock", BASE, CLOSE, {}),
    "nearswap, less than 1e-6 apart": ("nearswap", A, [A + TINY], {"t": 1e-8}),
    "nearswap, close": ("nearswap", BASE, [CLOSE[0]], {"t": 1e-4}),
    "nearswap, t zero": ("nearswap", A, [B], {"t": 0.0}),
    "arcee_fusion, close": ("arcee_fusion", BASE, [CLOSE[0]], {}),
    "arcee_fusion, far": ("arcee_fusion", 20 * A, [20 * B], {}),
    "arcee_fusion, zero": ("arcee_fusion", ZERO, [A], {}),
    "ram, close": ("ram", BASE, CLOSE, {"epsilon": 1e-4}),
    "ramplus_tl, close": ("ramplus_tl", BASE, CLOSE, {"epsilon": 1e-4, "r": 0.7, "alpha": 9.0}),
}


def mergekit(
    method: str, base: np.ndarray | None, inputs: Tensors, parameters: dict[str, Any]
) -> np.ndarray:
    """The tensor that mergekit makes in float64."""
    from mergekit.merge_methods import TensorGroup, get

    tensors = ([] if base is None else [base]) + inputs
    group = TensorGroup.from_tensors(
        [torch.from_numpy(tensor).double() for tensor in tensors],
        base_index=0 if base is not None else None,
    )
    if method in ("nuslerp", "multislerp"):
        parameters = {"weight": [1.0] * len(inputs)} | parameters
    (result,) = get(method)((group,), parameters=parameters, dtype=torch.float64)
    return result.numpy()


def ours(
    method: str, base: np.ndarray | None, inputs: Tensors, parameters: dict[str, Any]
) -> np.ndarray:
    values = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in parameters.items()
    }
    return merge(method, base, *inputs, counted=[5], **values)


@pytest.mark.parametrize("case", CASES)
def test_equal_to_mergekit(case: str) -> None:
    expected, found = mergekit(*CASES[case]), ours(*CASES[case])
    difference = np.abs(found - expected).max()
    print(f"{case}: {difference / max(np.abs(expected).max(), 1e-30):.2e}")
    assert difference <= 1e-6 * np.abs(expected).max()


def test_three_parents_that_change_nothing_leave_the_base() -> None:
    """mergekit ends the whole merge: a sum of no directions is none. The base needs none."""
    case = ("multislerp", BASE, [BASE] * 3, {})
    with pytest.raises(ValueError, match="weighted sum of the input tensors is zero"):
        mergekit(*case)
    assert np.array_equal(ours(*case), BASE)


def test_three_directions_that_cancel_have_no_mean() -> None:
    """mergekit ends the merge too; ours is not a number, which a plan refuses by name."""
    case = ("multislerp", None, [A, A, -2 * A], {"weight": [1.0, 1.0, 2.0]})
    with pytest.raises(ValueError, match="weighted sum of the input tensors is zero"):
        mergekit(*case)
    assert np.isnan(ours(*case)).all()


def test_weights_of_zero_in_sum_are_nothing_in_both() -> None:
    case = ("multislerp", None, [A, B], {"weight": [1.0, -1.0]})
    assert np.isnan(mergekit(*case)).all()
    assert np.isnan(ours(*case)).all()


def test_quartiles_of_large_tensors_are_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """Above a million entries mergekit draws a sample, another in every run; we count all.

    With a sample that is never too small it takes the same entries.
    """
    monkeypatch.setattr("mergekit.merge_methods.arcee_fusion._QUANTILE_SAMPLE_SIZE", 10**9)
    rng = np.random.default_rng(7)
    base = rng.standard_normal((1050, 1000)).astype(np.float32)
    other = base + np.float32(0.1) * rng.standard_normal(base.shape).astype(np.float32)
    expected = mergekit("arcee_fusion", base, [other], {})
    found = merge("arcee_fusion", base, other, counted=[300, 900])
    assert 10_000 < np.count_nonzero(expected != base) < base.size / 2
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
