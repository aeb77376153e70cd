"""The compiled kernels: which variants there are, how one is chosen, and the check for NaN."""

from __future__ import annotations

import platform

import numpy as np
import pytest

from mergesearch._kernels import ISA_VARIABLE, Variant, kernels, supported_variants
from mergesearch.errors import InputError

VARIANTS = supported_variants()


def test_scalar_is_always_there_and_last() -> None:
    assert VARIANTS[-1].name == "scalar"


@pytest.mark.skipif(platform.machine() != "x86_64", reason="says what /proc/cpuinfo says")
def test_variants_are_those_of_the_processor() -> None:
    with open("/proc/cpuinfo") as file:
        flags = set(next(line for line in file if line.startswith("flags")).split())
    wide = {"avx512f", "avx512bw", "avx512dq", "avx512vl"} <= flags
    expected = ["avx512"] * wide + ["avx2"] * ("avx2" in flags) + ["scalar"]
    assert [variant.name for variant in VARIANTS] == expected


def test_the_variable_forces_a_variant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ISA_VARIABLE, raising=False)
    assert kernels().name == VARIANTS[0].name
    for variant in VARIANTS:
        monkeypatch.setenv(ISA_VARIABLE, variant.name)
        assert kernels().name == variant.name


def test_an_unknown_variant_is_refused_with_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ISA_VARIABLE, "sse9")
    with pytest.raises(InputError, match=r"'sse9'(.|\n)*expected: .*scalar"):
        kernels()


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
@pytest.mark.parametrize("bad", [np.nan, -np.nan, np.inf, -np.inf])
def test_the_first_nonfinite_value_is_found(variant: Variant, bad: float) -> None:
    for cols in (1, 7, 1024, 1025, 5000):
        rows = np.full((2, cols), np.finfo(np.float32).max, dtype=np.float32)
        rows[1, ::2] = np.finfo(np.float32).tiny / 4
        assert variant.first_nonfinite(rows) == -1
        for place in {0, cols - 1, cols, 2 * cols - 1}:
            spoiled = rows.copy()
            spoiled.flat[place:] = bad
            assert variant.first_nonfinite(spoiled) == place


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_arrays_are_never_converted_silently(variant: Variant) -> None:
    with pytest.raises(TypeError):
        variant.first_nonfinite(np.zeros((2, 2)))  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        variant.first_nonfinite(np.zeros((2, 4), dtype=np.float32)[:, ::2])
