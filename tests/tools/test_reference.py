"""The NumPy reference against ggml: the same bytes, and so the same as the kernels."""

from __future__ import annotations

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

from mergesearch.quantize.formats import TYPES, block_elements
from tools.quantization import ggml, reference

each_kind = pytest.mark.parametrize("kind", TYPES, ids=lambda kind: kind.name)


@each_kind
@pytest.mark.parametrize("importance", ["none", "wild"])
def test_awkward_rows_equal_ggml(kind: Type, importance: str) -> None:
    for case, make in CASES.items():
        rows = make()
        weights = importances(rows.shape[1])[importance]
        expected = ggml.quantize_rows(rows, kind, weights)
        found = reference.quantize_rows(rows, kind, weights)
        assert_same(found, expected, rows, kind, f"{case}, importance {importance}")


@each_kind
def test_skewed_importances_equal_ggml(kind: Type) -> None:
    for seed in (0, 11, 20):
        rows, importance = skewed_rows(seed)
        expected = ggml.quantize_rows(rows, kind, importance)
        found = reference.quantize_rows(rows, kind, importance)
        assert_same(found, expected, rows, kind, f"seed {seed}")


def test_levels_beyond_rounding_equal_ggml() -> None:
    expected = ggml.quantize_rows(BEYOND_ROUNDING, Type.Q5_1, BEYOND_IMPORTANCE)
    found = reference.quantize_rows(BEYOND_ROUNDING, Type.Q5_1, BEYOND_IMPORTANCE)
    assert_same(found, expected, BEYOND_ROUNDING, Type.Q5_1, "reference")


@each_kind
def test_real_weights_equal_ggml(kind: Type) -> None:
    fitting = [
        rows for rows in real_weights().values() if rows.shape[1] % block_elements(kind) == 0
    ]
    assert fitting
    for rows in fitting[:3]:
        for name in ("none", "even"):
            weights = importances(rows.shape[1])[name]
            expected = ggml.quantize_rows(rows, kind, weights)
            found = reference.quantize_rows(rows, kind, weights)
            assert_same(found, expected, rows, kind, f"importance {name}")
