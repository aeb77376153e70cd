"""The merge methods, each a pure function of blocks of rows.

All arithmetic is float32 with products and sums as separate steps in the order of the inputs, so
that a block's values do not depend on how a tensor is cut or on who computes it. What concerns a
whole tensor is collected in a pass of its own: counts, or float64 sums over fixed blocks in order.
Results equal mergekit 0.1.5 in float32 (`merge_methods/linear.py`, `slerp.py`,
`generalized_task_arithmetic.py`) but for the order of summation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mergesearch.merge.sparsify import Cut, apply_cut, magnitude_cut

Float = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Settings:
    """A method's parameters for one tensor, gradients and filters resolved.

    Attributes:
        weights: of every input, in order.
        densities: share of entries that each input's delta keeps.
        normalize: divide by the sum of the weights.
        scale: `lambda`, the factor of the whole delta.
        t: place between the base (0) and the other parent (1).
    """

    weights: tuple[float, ...] = ()
    densities: tuple[float, ...] = ()
    normalize: bool = False
    scale: float = 1.0
    t: float = 0.5


@dataclass(frozen=True)
class Block:
    """The same rows of every input.

    Attributes:
        base: float32, shape `(rows, cols)`; None where the method takes no base.
        inputs: the other parents' rows, same shape.
        offset: flat index in the tensor of the block's first entry.
    """

    base: Float | None
    inputs: Sequence[Float]
    offset: int


Blocks = Callable[[], Iterable[Block]]


@dataclass(frozen=True)
class Method:
    """A merge method.

    Attributes:
        merge: rows of the result, from rows of the inputs and the statistics of the whole tensor.
        statistics: collects them over the tensor's fixed blocks; None where there are none.
        takes_base: the base is apart from the inputs.
        normalize: default of `normalize`.
    """

    merge: Callable[[Block, Settings, Any], Float]
    statistics: Callable[[Blocks, int, Settings], Any] | None
    takes_base: bool
    normalize: bool = False


def _weighted_sum(arrays: Sequence[Float], weights: Sequence[float]) -> Float:
    total = arrays[0] * np.float32(weights[0])
    for array, weight in zip(arrays[1:], weights[1:], strict=True):
        total += array * np.float32(weight)
    return total


def _sum32(values: Sequence[float]) -> np.float32:
    total = np.float32(0.0)
    for value in values:
        total = np.float32(total + np.float32(value))
    return total


def linear(block: Block, settings: Settings, statistics: None = None) -> Float:
    """Return the weighted sum of the inputs, divided by the sum of weights if `normalize`."""
    merged = _weighted_sum(block.inputs, settings.weights)
    if settings.normalize:
        with np.errstate(divide="ignore", invalid="ignore"):
            merged /= _sum32(settings.weights)
    return merged


def task_arithmetic(block: Block, settings: Settings, statistics: None = None) -> Float:
    """Return base + lambda * (weighted sum of the deltas), https://arxiv.org/abs/2212.04089."""
    assert block.base is not None
    delta = _weighted_sum([one - block.base for one in block.inputs], settings.weights)
    if settings.normalize:
        total = _sum32(settings.weights)
        delta /= total if abs(total) >= 1e-8 else np.float32(1.0)
    return _add_scaled(block.base, delta, settings.scale)


def _add_scaled(base: Float, delta: Float, scale: float) -> Float:
    if scale != 1.0:
        delta *= np.float32(scale)
    delta += base
    return delta


def ties_statistics(blocks: Blocks, size: int, settings: Settings) -> tuple[Cut, ...]:
    """Return, per input, which entries of its delta stay after trimming to its density."""

    def deltas(index: int) -> Iterable[Float]:
        for block in blocks():
            assert block.base is not None
            yield block.inputs[index] - block.base

    return tuple(
        magnitude_cut(lambda index=index: deltas(index), size, density)  # type: ignore[misc]
        for index, density in enumerate(settings.densities)
    )


def ties(block: Block, settings: Settings, statistics: tuple[Cut, ...]) -> Float:
    """Trim, elect a sign per entry, and add the deltas that agree, https://arxiv.org/abs/2306.01708.

    The sign is that of the sum of the weighted deltas, a zero sum counting as positive; with
    `normalize` an entry is divided by the sum of the weights that agreed.
    """
    assert block.base is not None
    trimmed = [
        apply_cut(one - block.base, cut, block.offset) * np.float32(weight)
        for one, cut, weight in zip(block.inputs, statistics, settings.weights, strict=True)
    ]
    total = trimmed[0].copy()
    for delta in trimmed[1:]:
        total += delta
    positive = total >= 0
    merged, divisor = np.zeros_like(total), np.zeros_like(total)
    for delta, weight in zip(trimmed, settings.weights, strict=True):
        agrees = (delta > 0) & positive
        agrees |= (delta < 0) & ~positive
        merged += delta * agrees
        divisor += np.float32(weight) * agrees
    if settings.normalize:
        divisor[divisor == 0] = 1.0
        merged /= divisor
    return _add_scaled(block.base, merged, settings.scale)


LINEAR_ABOVE = 0.9995
_SMALLEST_NORM = 1e-8


def slerp_statistics(blocks: Blocks, size: int, settings: Settings) -> tuple[float, float]:
    """Return the coefficients of the base and of the other parent for the whole tensor.

    Tensors count as vectors; nearly parallel ones (|cos| above 0.9995) are interpolated linearly.
    """
    squares_base, squares_other, product = 0.0, 0.0, 0.0
    for block in blocks():
        assert block.base is not None
        base = block.base.astype(np.float64).reshape(-1)
        other = block.inputs[0].astype(np.float64).reshape(-1)
        squares_base += float(np.sum(base * base))
        squares_other += float(np.sum(other * other))
        product += float(np.sum(base * other))
    norms = [math.sqrt(squares) for squares in (squares_base, squares_other)]
    length = math.prod(norm if norm > _SMALLEST_NORM else 1.0 for norm in norms)
    cosine = max(-1.0, min(1.0, product / length))
    t = settings.t
    if math.isnan(cosine) or abs(cosine) > LINEAR_ABOVE:
        return 1.0 - t, t
    angle = math.acos(cosine)
    return math.sin((1.0 - t) * angle) / math.sin(angle), math.sin(t * angle) / math.sin(angle)


def slerp(block: Block, settings: Settings, statistics: tuple[float, float]) -> Float:
    """Return the point at `t` on the great circle from the base to the other parent."""
    assert block.base is not None
    return _weighted_sum([block.base, block.inputs[0]], statistics)


METHODS: dict[str, Method] = {
    "linear": Method(linear, None, takes_base=False, normalize=True),
    "task_arithmetic": Method(task_arithmetic, None, takes_base=True),
    "ties": Method(ties, ties_statistics, takes_base=True, normalize=True),
    "slerp": Method(slerp, slerp_statistics, takes_base=True),
}
