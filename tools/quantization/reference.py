"""Rows of float32 to ggml's blocks in NumPy: what the kernels compute, to be read.

Every function works on many blocks at once, shape `(blocks, elements)`, in single float32 steps and
with sums in ggml's order (`ggml/src/ggml-quants.c`, compiled without fused arithmetic).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
from gguf import GGMLQuantizationType as Type

from mergesearch.quantize.formats import empty_blocks, importance_row
from tools.quantization.pack import (
    as_bytes,
    fifth_bits,
    k_fifth_bits,
    nibbles,
    pack_scales,
    pack_six_bits,
    unpack_scales,
)

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]
Bytes = npt.NDArray[np.uint8]

SUPER = 256
NEGLIGIBLE = np.float32(1e-15)
"""A block whose magnitudes are all smaller counts as zero."""


@dataclass(frozen=True)
class Grid:
    """Trial grids of the search for a scale and a minimum.

    Levels are 0 to `top`; trial `i` of `0..last` spreads `first + step * i + top` levels over the
    block's range.
    """

    top: int
    first: float
    step: float
    last: int


PLAIN = {4: Grid(15, -1.0, 0.1, 20), 5: Grid(31, -0.5, 0.1, 15)}
WEIGHTED = {4: Grid(15, -0.9, 0.05, 36), 5: Grid(31, -0.9, 0.05, 36)}


def quantize_rows(block: Floats, kind: Type, importance: Floats | None = None) -> Bytes:
    """Quantize rows as `kernels.quantize_rows` does."""
    source = np.ascontiguousarray(block, dtype=np.float32)
    target = empty_blocks(kind, source.shape)
    weights = importance_row(importance, source.shape[1])
    with np.errstate(all="ignore"):
        target[:] = QUANTIZERS[kind](source, weights).reshape(target.shape)
    return target


# ---- Steps that all types share


def sum_in_order(terms: Floats) -> Floats:
    """Sum over the last axis from its first element to its last, beginning with 0."""
    total = np.zeros(terms.shape[:-1], dtype=np.float32)
    for i in range(terms.shape[-1]):
        total = total + terms[..., i]
    return total


def nearest(values: Floats) -> Ints:
    """Nearest integers, ties to even; beyond 2**22 what the float's low bits say, as in ggml."""
    shifted = values + np.float32(12582912)
    return (shifted.view(np.int32) & np.int32(0x7FFFFF)) - np.int32(0x400000)


def towards_zero(values: Floats) -> Ints:
    """Integers towards zero; 0 for what is none, as the lowest byte of x86's conversion is."""
    fits = np.abs(values) < np.float32(2**31)
    return np.where(fits, values, np.float32(0)).astype(np.int32)


def half_bits(values: Floats) -> npt.NDArray[np.uint16]:
    """Bits of the nearest float16."""
    return values.astype(np.float16).view(np.uint16)


def after_half(values: Floats) -> Floats:
    """What a file's float16 brings back."""
    return values.astype(np.float16).astype(np.float32)


def inverse(values: Floats) -> Floats:
    """1 / value, 0 for 0."""
    return np.where(values == 0, np.float32(0), np.float32(1) / values)


def extreme(x: Floats) -> Floats:
    """Each block's value of largest magnitude, the first of equals."""
    places = np.argmax(np.abs(x), axis=-1)
    found = np.take_along_axis(x, places[..., None], axis=-1)[..., 0]
    return np.where(found == 0, np.float32(0), found)


# ---- Weights of the elements


def by_magnitude(x: Floats) -> Floats:
    """Root mean square of the block plus the element's magnitude."""
    spread = np.sqrt(sum_in_order(x * x) / np.float32(x.shape[-1]))
    return spread[..., None] + np.abs(x)


def by_importance(x: Floats, importance: Floats, variance: Floats) -> Floats:
    """Importance times the root of variance plus square; variance has one value per block."""
    return importance * np.sqrt(variance[..., None] + x * x)


# ---- The searches


def fit_affine(x: Floats, w: Floats, grid: Grid) -> tuple[Floats, Floats, Ints]:
    """Scale, minimum and levels of each block: x ~ scale * level + minimum.

    `make_qkx2_quants` and `make_qkx3_quants`: levels are taken on trial grids, each is refitted by
    weighted least squares, the least error wins, and its minimum is where later grids begin.
    """
    zero, top = np.float32(0), np.float32(grid.top)
    low, high, sum_w, sum_x = x[:, 0], x[:, 0], w[:, 0], w[:, 0] * x[:, 0]
    for i in range(1, x.shape[1]):
        low = np.where(x[:, i] < low, x[:, i], low)
        high = np.where(x[:, i] > high, x[:, i], high)
        sum_w = sum_w + w[:, i]
        sum_x = sum_x + w[:, i] * x[:, i]
    low = np.where(low > 0, zero, low)
    flat = high == low

    def levels_between(spread: np.float32, minimum: Floats) -> Ints:
        factor = spread / (high - minimum)
        return np.clip(nearest(factor[:, None] * (x - minimum[:, None])), 0, grid.top)

    def error_of(scale: Floats, minimum: Floats, levels: Ints) -> Floats:
        off = scale[:, None] * levels.astype(np.float32) + minimum[:, None] - x
        return sum_in_order(w * (off * off))

    minimum, levels = low, levels_between(top, low)
    scale = np.reciprocal(top / (high - low))
    least = error_of(scale, minimum, levels)
    for trial in range(grid.last + 1):
        spread = np.float32(grid.first) + np.float32(grid.step) * np.float32(trial) + top
        tried = levels_between(spread, minimum)
        level = tried.astype(np.float32)
        sum_l = sum_in_order(w * level)
        sum_l2 = sum_in_order(w * level * level)
        sum_xl = sum_in_order(w * level * x)
        determinant = sum_w * sum_l2 - sum_l * sum_l
        new_scale: Floats = np.divide(sum_w * sum_xl - sum_x * sum_l, determinant)
        new_minimum = (sum_l2 * sum_x - sum_l * sum_xl) / determinant
        above = new_minimum > 0
        new_scale = np.where(above, sum_xl / sum_l2, new_scale)
        new_minimum = np.where(above, zero, new_minimum)
        error = error_of(new_scale, new_minimum, tried)
        wins = (determinant > 0) & (error < least)
        least = np.where(wins, error, least)
        scale = np.where(wins, new_scale, scale)
        minimum = np.where(wins, new_minimum, minimum)
        levels = np.where(wins[:, None], tried, levels)
    return (
        np.where(flat, zero, scale),
        np.where(flat, low, minimum),
        np.where(flat[:, None], 0, levels),
    )


def fit_scale(x: Floats, w: Floats, top: int) -> tuple[Floats, Ints]:
    """Scale of each block, x ~ scale * level with levels from -top to top - 1, and level + top.

    `make_qx_quants` with its `rmse_type` 1: of trial scales around the one that takes the extreme
    to -top, the one that explains most after a refit wins. A negligible block has the scale 0 and
    what it returns as level + top is 0.
    """
    zero, far = np.float32(0), extreme(x)
    empty = np.max(np.abs(x), axis=1) < NEGLIGIBLE

    def tried(spread: np.float32) -> tuple[Ints, Floats, Floats]:
        factor = -spread / far
        levels = np.clip(nearest(factor[:, None] * x), -top, top - 1)
        level = levels.astype(np.float32)
        return levels, sum_in_order(w * x * level), sum_in_order(w * level * level)

    best, sum_xl, sum_l2 = tried(np.float32(top))
    scale = np.where(sum_l2 != 0, sum_xl / sum_l2, zero)
    explained = scale * sum_xl
    for trial in [*range(-9, 0), *range(1, 10)]:
        spread = np.float32(top) + np.float32(0.1) * np.float32(trial)
        levels, sum_xl, sum_l2 = tried(spread)
        wins = (sum_l2 > 0) & (sum_xl * sum_xl > explained * sum_l2)
        scale = np.where(wins, sum_xl / sum_l2, scale)
        explained = np.where(wins, scale * sum_xl, explained)
        best = np.where(wins[:, None], levels, best)
    return np.where(empty, zero, scale), np.where(empty[:, None], 0, best + top)


# ---- One scale for the scales of eight sub-blocks


def share_by_largest(values: Floats) -> tuple[Floats, Bytes]:
    """A scale per row of eight values, the largest becoming level 63, and all levels."""
    largest = np.zeros(len(values), dtype=np.float32)
    for j in range(8):
        largest = np.where(values[:, j] > largest, values[:, j], largest)
    factor = np.where(largest > 0, np.float32(63) / largest, np.float32(0))
    levels = nearest(factor[:, None] * values).astype(np.uint8)
    return largest / np.float32(63), np.minimum(levels, 63)


def share_by_weight(values: Floats, w: Floats) -> tuple[Floats, Bytes]:
    """A scale per row of eight values by weighted least squares, and all levels.

    `make_qp_quants`: the best of nine scales, then up to five rounds that move single levels while
    the scale explains more.
    """
    largest = np.zeros(len(values), dtype=np.float32)
    for j in range(8):
        largest = np.where(largest > values[:, j], largest, values[:, j])
    factor = _best_factor(values, w, largest)
    level = np.minimum(nearest(factor[:, None] * values), 63)
    sum_xl = sum_in_order(w * values * level.astype(np.float32))
    sum_l2 = sum_in_order(w * level.astype(np.float32) * level.astype(np.float32))
    levels = level.astype(np.uint8)
    active = np.ones(len(values), dtype=bool)
    for _ in range(5):
        moved = np.zeros(len(values), dtype=bool)
        for j in range(8):
            wx, old = w[:, j] * values[:, j], levels[:, j].astype(np.float32)
            xl, l2 = sum_xl - wx * old, sum_l2 - w[:, j] * old * old
            new = np.minimum(nearest(np.divide(values[:, j] * l2, xl)), 63)
            differs = active & (xl > 0) & (l2 > 0) & (new != levels[:, j])
            xl = xl + wx * new.astype(np.float32)
            l2 = l2 + w[:, j] * new.astype(np.float32) * new.astype(np.float32)
            wins = differs & (xl * xl * sum_l2 > sum_xl * sum_xl * l2)
            levels[:, j] = np.where(wins, new.astype(np.uint8), levels[:, j])
            sum_xl, sum_l2 = np.where(wins, xl, sum_xl), np.where(wins, l2, sum_l2)
            moved |= wins
        active &= moved
    scale = np.where(sum_l2 > 0, sum_xl / sum_l2, np.float32(0))
    empty = largest < NEGLIGIBLE
    return np.where(empty, np.float32(0), scale), np.where(empty[:, None], np.uint8(0), levels)


def _best_factor(values: Floats, w: Floats, largest: Floats) -> Floats:
    """The factor from value to level that has the least weighted squared error."""

    def error_of(factor: Floats, levels: npt.NDArray[np.integer]) -> Floats:
        scale = np.float32(1) / factor
        off = values - scale[:, None] * levels.astype(np.float32)
        return sum_in_order(w * off * off)

    best = np.divide(np.float32(63), largest, dtype=np.float32)
    # Here, and only here, ggml takes the levels as bytes without a limit.
    least = error_of(best, nearest(best[:, None] * values).astype(np.uint8))
    for trial in [*range(-4, 0), *range(1, 5)]:
        factor = (np.float32(0.1) * np.float32(trial) + np.float32(63)) / largest
        error = error_of(factor, np.minimum(nearest(factor[:, None] * values), 63))
        wins = error < least
        least, best = np.where(wins, error, least), np.where(wins, factor, best)
    return best


# ---- Types with blocks of 32


def quantize_32(source: Floats, importance: Floats | None, *, bits: int, minimum: bool) -> Bytes:
    """Q4_0, Q5_0 (x ~ d * (level - middle)) and Q4_1, Q5_1 (x ~ d * level + minimum)."""
    x = source.reshape(-1, 32)
    if importance is None:
        halves, levels = (round_affine if minimum else round_symmetric)(x, bits)
    else:
        rows, cols = source.shape
        variance = sum_in_order(source * source) / np.float32(cols)
        repeated = np.tile(importance, rows).reshape(-1, 32)
        w = by_importance(x, repeated, np.repeat(variance, cols // 32))
        if minimum:
            d, low, levels = fit_affine(x, w, WEIGHTED[bits])
            halves = [d, low]
        else:
            d, levels = fit_scale(x, w, 1 << (bits - 1))
            halves = [d]
    packed = levels.astype(np.uint8)
    parts = [as_bytes(half_bits(half)) for half in halves]
    parts += [fifth_bits(packed)] if bits == 5 else []
    return np.concatenate([*parts, nibbles(packed)], axis=1)


def round_symmetric(x: Floats, bits: int) -> tuple[list[Floats], Ints]:
    """The extreme takes level 0, the others follow: scale, and levels."""
    middle = 1 << (bits - 1)
    d = extreme(x) / np.float32(-middle)
    scaled = x * inverse(d)[:, None] + np.float32(middle + 0.5)
    return [d], np.minimum(towards_zero(scaled), 2 * middle - 1)


def round_affine(x: Floats, bits: int) -> tuple[list[Floats], Ints]:
    """The range is divided evenly: scale and minimum, and levels."""
    top = (1 << bits) - 1
    # The first of equals: of zeros, either sign may come first, and it shows.
    every = np.arange(len(x))
    low, high = x[every, np.argmin(x, axis=1)], x[every, np.argmax(x, axis=1)]
    d = (high - low) / np.float32(top)
    scaled = (x - low[:, None]) * inverse(d)[:, None] + np.float32(0.5)
    return [d, low], np.minimum(towards_zero(scaled), top)


def quantize_q8_0(source: Floats, importance: Floats | None) -> Bytes:
    """Q8_0: x ~ d * level, ties away from zero."""
    x = source.reshape(-1, 32)
    d = np.abs(x).max(axis=1) / np.float32(127)
    scaled = x * inverse(d)[:, None]
    whole = np.trunc(scaled)
    carry = np.abs(scaled - whole) >= np.float32(0.5)
    levels = towards_zero(whole + np.copysign(carry.astype(np.float32), scaled))
    return np.concatenate([as_bytes(half_bits(d)), levels.astype(np.uint8)], axis=1)


# ---- Types with super-blocks of 256


def quantize_affine_k(source: Floats, importance: Floats | None, *, bits: int) -> Bytes:
    """Q4_K and Q5_K: eight sub-blocks of 32, x ~ d * scale * level - dmin * minimum."""
    x = source.reshape(-1, 32)
    if importance is None:
        scale, minimum, levels = fit_affine(x, by_magnitude(x), PLAIN[bits])
        d, scales = share_by_largest(scale.reshape(-1, 8))
        dmin, minimums = share_by_largest(-minimum.reshape(-1, 8))
    else:
        squares = sum_in_order((source * source).reshape(-1, SUPER))
        variance = np.float32(2) * squares / np.float32(SUPER)
        repeated = np.tile(importance, len(source)).reshape(-1, 32)
        w = by_importance(x, repeated, np.repeat(variance, 8))
        scale, minimum, levels = fit_affine(x, w, WEIGHTED[bits])
        weights = sum_in_order(w).reshape(-1, 8)
        d, scales = share_by_weight(scale.reshape(-1, 8), weights)
        dmin, minimums = share_by_weight(-minimum.reshape(-1, 8), weights)
        if bits == 5:
            # A negative scale's level has wrapped around as a byte; ggml limits it here alone.
            scales, minimums = np.minimum(scales, 63), np.minimum(minimums, 63)
    packed = pack_scales(scales, minimums)
    scales, minimums = unpack_scales(packed)
    step = (after_half(d)[:, None] * scales.astype(np.float32)).reshape(-1, 1)
    offset = (after_half(dmin)[:, None] * minimums.astype(np.float32)).reshape(-1, 1)
    final = np.clip(nearest((x + offset) / step), 0, (1 << bits) - 1)
    # Where the scale came out as zero, ggml leaves what its search found.
    stored = np.where(step == 0, levels, final).astype(np.uint8).reshape(-1, SUPER)
    parts = [as_bytes(half_bits(d)), as_bytes(half_bits(dmin)), packed]
    parts += [k_fifth_bits(stored)] if bits == 5 else []
    low = nibbles(stored.reshape(-1, 64)).reshape(-1, 128)
    return np.concatenate([*parts, low], axis=1)


def quantize_q6_k(source: Floats, importance: Floats | None) -> Bytes:
    """Q6_K: sixteen sub-blocks of 16, x ~ d * scale * (level - 32)."""
    x = source.reshape(-1, 16)
    w = x * x if importance is None else np.tile(importance, len(source)).reshape(-1, 16)
    scale, levels = fit_scale(x, w, 32)
    by_super = scale.reshape(-1, 16)
    # A scale that is not a number never leads.
    leading = extreme(np.where(np.isnan(by_super), np.float32(0), by_super))
    factor = np.float32(-128) / leading
    scales = np.minimum(nearest(factor[:, None] * by_super), 127).astype(np.int8)
    d = np.float32(1) / factor
    step = (after_half(d)[:, None] * scales.astype(np.float32)).reshape(-1, 1)
    final = np.clip(nearest(x / step), -32, 31) + 32
    # Where the scale came out as zero, ggml leaves what its search found.
    stored = np.where(step == 0, levels, final).astype(np.uint8).reshape(-1, SUPER)
    blocks = np.concatenate(
        [pack_six_bits(stored), scales.view(np.uint8), as_bytes(half_bits(d))], axis=1
    )
    return np.where((np.abs(leading) < NEGLIGIBLE)[:, None], np.uint8(0), blocks)


# ---- Types without blocks


def quantize_f16(source: Floats, importance: Floats | None) -> Bytes:
    """F16: the nearest float16, ties to even."""
    return as_bytes(half_bits(source))


def quantize_bf16(source: Floats, importance: Floats | None) -> Bytes:
    """BF16: the high half of a float32, ties to even."""
    bits = source.view(np.uint32)
    rounded = bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    return as_bytes((rounded >> np.uint32(16)).astype(np.uint16))


def quantize_f32(source: Floats, importance: Floats | None) -> Bytes:
    """F32: as it is."""
    return as_bytes(source)


QUANTIZERS: dict[Type, Callable[[Floats, Floats | None], Bytes]] = {
    Type.F32: quantize_f32,
    Type.F16: quantize_f16,
    Type.BF16: quantize_bf16,
    Type.Q4_0: partial(quantize_32, bits=4, minimum=False),
    Type.Q4_1: partial(quantize_32, bits=4, minimum=True),
    Type.Q5_0: partial(quantize_32, bits=5, minimum=False),
    Type.Q5_1: partial(quantize_32, bits=5, minimum=True),
    Type.Q8_0: quantize_q8_0,
    Type.Q4_K: partial(quantize_affine_k, bits=4),
    Type.Q5_K: partial(quantize_affine_k, bits=5),
    Type.Q6_K: quantize_q6_k,
}
"""By type: rows and one row of importance (or None) to blocks."""
