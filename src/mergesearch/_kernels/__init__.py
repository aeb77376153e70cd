"""Kernels in C++, compiled for several instruction sets and picked at run time.

All variants give the same bytes; `MERGESEARCH_ISA` names one where tests or benchmarks need it.
"""

from __future__ import annotations

import os
from functools import cache

import numpy as np
import numpy.typing as npt

from mergesearch._kernels._native import DIGIT_TABLES, Consensus, Variant, supported_variants
from mergesearch.errors import InputError

__all__ = [
    "DIGIT_TABLES",
    "ISA_VARIABLE",
    "Consensus",
    "Mask",
    "Variant",
    "kernels",
    "mask_of",
    "supported_variants",
]

Mask = npt.NDArray[np.uint32]
"""Which of some entries stay: a bit for each, the first lowest, and a word to spare."""

ISA_VARIABLE = "MERGESEARCH_ISA"


def kernels() -> Variant:
    """Return the fastest variant that this processor runs, or the one `MERGESEARCH_ISA` names.

    Raises:
        InputError: The name is unknown, or this build or processor does not have it.
    """
    return _named(os.environ.get(ISA_VARIABLE, ""))


def mask_of(entries: int) -> Mask:
    """Return the mask by which none of some entries stay."""
    return np.zeros(entries // 32 + 2, dtype=np.uint32)


@cache
def _named(name: str) -> Variant:
    found = {variant.name: variant for variant in supported_variants()}
    if not name:
        return next(iter(found.values()))
    if name not in found:
        raise InputError(
            f"{name!r} is not an instruction set that this build and processor have",
            where=ISA_VARIABLE,
            expected=", ".join(found),
            fix="name one of these, or unset the variable for the fastest",
        )
    return found[name]
