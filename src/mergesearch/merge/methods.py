"""The table of merge methods, each a pure function of blocks of rows.

All arithmetic is float32 with products and sums as separate steps in the order of the inputs, so
that a block's values do not depend on how a tensor is cut or on who computes it. What concerns a
whole tensor is collected in a pass of its own: counts, or float64 sums over fixed blocks in order.
Results equal mergekit 0.1.5 in float32 (`merge_methods/`) but for the order of summation and for
random numbers.
"""

from __future__ import annotations

import math

import numpy as np

from mergesearch.merge.blocks import Block, Blocks, Float, Method, Settings, sum32, weighted_sum
from mergesearch.merge.task_arithmetic import family_methods

__all__ = ["METHODS", "Block", "Method", "Settings"]


def linear(block: Block, settings: Settings, statistics: None = None) -> Float:
    """Return the weighted sum of the inputs, divided by the sum of weights if `normalize`."""
    merged = weighted_sum(block.inputs, settings.weights)
    if settings.normalize:
        with np.errstate(divide="ignore", invalid="ignore"):
            merged /= sum32(settings.weights)
    return merged


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
    return weighted_sum([block.base, block.inputs[0]], statistics)


METHODS: dict[str, Method] = {
    "linear": Method(linear, None, takes_base=False),
    "slerp": Method(slerp, slerp_statistics, takes_base=True),
    **family_methods(),
}
