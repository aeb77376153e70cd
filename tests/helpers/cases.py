"""Rows that are hard to quantize, rows of real weights, and a comparison that shows the block."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import gguf
import numpy as np
import numpy.typing as npt
from gguf import GGMLQuantizationType as Type

from mergesearch.parents import open_parents
from mergesearch.recipe import Recipe

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]

HALF_MAX = 65504.0
SPREADS = (1e-45, 1e-41, 1e-38, 1e-30, 1e-15, 1e-6, 0.02, 1.0, HALF_MAX, 1e6, 1e15, 1e30, 1e37)


def _rng(name: str) -> np.random.Generator:
    return np.random.default_rng(list(name.encode()))


def _scaled_apart(run: int, low: float, high: float) -> Floats:
    """Runs of elements whose magnitudes differ wildly, so that sub-scales round to zero."""
    rng = _rng(f"apart {run} {low}")
    spreads = np.repeat(10.0 ** rng.uniform(low, high, (8, 512 // run)), run, axis=1)
    return (rng.standard_normal((8, 512)) * spreads).astype(np.float32)


def _one_outlier() -> Floats:
    rows = (_rng("outlier").standard_normal((5, 512)) * 0.01).astype(np.float32)
    rows[[0, 1, 2, 3, 4], [3, 31, 255, 256, 511]] = (100, -100, -1e4, HALF_MAX, 3e38)
    return rows


def _every_bit_pattern() -> Floats:
    bits = _rng("bits").integers(0, 2**32, (64, 512), dtype=np.uint32)
    rows = bits.view(np.float32)
    return np.where(np.isfinite(rows), rows, np.float32(0))


def _zeros_of_both_signs() -> Floats:
    negative = _rng("zeros").random((8, 512)) < 0.5
    return np.where(negative, np.float32(-0.0), np.float32(0))


def _half_limit() -> Floats:
    """Values whose scales end around the largest float16, for levels of 4, 5 and 8 bits."""
    rng = _rng("half limit")
    limits = HALF_MAX * np.array([8, 15, 16, 31, 63 * 15, 63 * 31, 127, 127 * 32])[:, None]
    return (rng.uniform(-1, 1, (8, 512)) * limits * rng.uniform(0.9, 1.1, (8, 512))).astype("f4")


def _just_below_halves() -> Floats:
    """Levels of Q8_0 that end on a half, and one step before it."""
    halves = np.arange(-127, 127, dtype=np.float32) + np.float32(0.5)
    rows = np.concatenate([halves, np.nextafter(halves, np.float32(0)), [127, 127, 127, 127]])
    return np.tile(np.insert(rows, range(0, 512, 31), 127)[:512], (2, 1)).astype(np.float32)


CASES: dict[str, Callable[[], Floats]] = {
    **{
        f"normal, spread {spread:g}": lambda spread=spread: (
            (_rng(f"normal {spread}").standard_normal((3, 768)) * spread).clip(-3e38, 3e38)
        ).astype(np.float32)
        for spread in SPREADS
    },
    "heavy tails": lambda: _rng("tails").standard_t(2, (4, 1024)).astype(np.float32),
    "zeros": lambda: np.zeros((2, 512), np.float32),
    "negative zeros": lambda: np.full((2, 512), -0.0, np.float32),
    "zeros of both signs": _zeros_of_both_signs,
    "zeros and positive": lambda: np.where(
        _rng("half zero").random((4, 512)) < 0.5, _zeros_of_both_signs()[:4], np.float32(0.3)
    ),
    **{
        f"constant {value:g}": lambda value=value: np.full((2, 512), value, np.float32)
        for value in (1, -1, 1e-45, -1e-40, 8 * HALF_MAX, 3e38, -3e38)
    },
    "opposite extremes": lambda: np.tile(np.array([3e38, -3e38, 1], np.float32), 512)[None, :1536],
    "sparse": lambda: (
        _rng("sparse").standard_normal((4, 512)).astype("f4")
        * (np.arange(512) % 37 == 0).astype(np.float32)
    ),
    "one outlier": _one_outlier,
    "sub-scales that round to zero": lambda: _scaled_apart(32, -12, 3),
    "sub-scales that round to zero, of 16": lambda: _scaled_apart(16, -12, 3),
    "every magnitude": lambda: _scaled_apart(16, -44, 38),
    "float16's limit": _half_limit,
    "just below halves": _just_below_halves,
    "integers": lambda: _rng("integers").integers(-8, 8, (8, 512)).astype(np.float32),
    "ternary": lambda: _rng("ternary").integers(-1, 2, (8, 512)).astype(np.float32),
    "positive": lambda: np.abs(_rng("positive").standard_normal((4, 512))).astype(np.float32),
    "negative": lambda: -np.abs(_rng("negative").standard_normal((4, 512))).astype(np.float32),
    "every bit pattern": _every_bit_pattern,
}
"""By name; each makes the same rows every time."""


def importances(cols: int) -> dict[str, Floats | None]:
    """Importance matrices' rows, and none."""
    rng = _rng(f"importance {cols}")
    even = rng.random(cols)
    sparse = even * (rng.random(cols) < 0.3)
    wild = 10.0 ** rng.uniform(-20, 10, cols)
    found: dict[str, Floats | None] = {"none": None}
    for name, row in {"even": even, "sparse": sparse, "wild": wild, "zero": 0 * even}.items():
        found[name] = row.astype(np.float32)
    return found


def skewed_rows(seed: int) -> tuple[Floats, Floats]:
    """Rows of 256 and an importance that forgets most elements.

    A few of some hundred rows get negative scales, or scales that take many rounds to settle.
    """
    rng = np.random.default_rng(seed)
    importance = 10.0 ** rng.uniform(-rng.choice([1, 3, 8, 15]), 0, 256)
    importance *= rng.random(256) < rng.choice([0.1, 0.3, 1])
    rows = rng.standard_normal((512, 256))
    rows *= np.repeat(10.0 ** rng.uniform(-3 * (seed % 2), 0, (512, 8)), 32, axis=1)
    return rows.astype(np.float32), importance.astype(np.float32)


# All that matters are elements 26 and 29, the largest and its neighbour, and one trial grid takes
# them to neighbouring levels: the fitted minimum is so close to them that the next grids see the
# others far beyond 2**22, where rounding takes whatever the float's low bits are.
BEYOND_ROUNDING = np.frombuffer(
    bytes.fromhex(
        "186090bfb70e8cbfa1478bbffb0f95bfe94f8bbf60d59abf615c92bf364289bf"
        "e8558cbfec4e9dbf08a386bfc8758fbfd24690bf4b0d8ebfb8f687bf0f4ca3bf"
        "865b95bf4e9989bfbc918cbfe8338dbf1f7887bfdcad89bff7b886bfdbf68dbf"
        "935d8ebfc39795bfa18586bf466592bfacf892bf9d8586bfd09191bf785f94bf"
    ),
    dtype="<f4",
)[None]
BEYOND_IMPORTANCE = np.where(np.isin(np.arange(32), (26, 29)), 1, 1e-15).astype(np.float32)


@cache
def real_weights() -> dict[str, Floats]:
    """The first rows of every matrix of a bundled parent."""
    recipe = Recipe.from_dict({"merge_method": "linear", "models": [{"model": "demo:instruct"}]})
    parent = open_parents(recipe.parents())["demo:instruct"]
    matrices = [name for name, tensor in parent.tensors.items() if len(tensor.shape) == 2]
    return {name: parent.rows(name, 0, 8) for name in matrices}


def assert_same(found: Bytes, expected: Bytes, rows: Floats, kind: Type, what: str) -> None:
    """Both hold the same bytes; otherwise the first block that differs is shown."""
    if np.array_equal(found, expected):
        return
    elements, size = gguf.GGML_QUANT_SIZES[kind]
    flat, wanted = found.reshape(-1, size), expected.reshape(-1, size)
    different = np.flatnonzero((flat != wanted).any(axis=1))
    block = int(different[0])
    values = rows.reshape(-1, elements)[block]
    raise AssertionError(
        f"{kind.name}, {what}: {len(different)} of {len(flat)} blocks differ\n"
        f"block {block}: [{', '.join(float(value).hex() for value in values)}]\n"
        f"found:    {flat[block].tobytes().hex()}\n"
        f"expected: {wanted[block].tobytes().hex()}"
    )
