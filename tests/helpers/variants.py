"""The instruction sets that kernels are tested on; `make quick` tries the fastest alone."""

from __future__ import annotations

import pytest

from mergesearch._kernels import supported_variants

VARIANTS = supported_variants()
PARAMETERS = [
    pytest.param(variant, id=variant.name, marks=[pytest.mark.long] if at else [])
    for at, variant in enumerate(VARIANTS)
]

each_variant = pytest.mark.parametrize("variant", PARAMETERS)
