"""The table of merge methods, each a pure function of blocks of rows.

All arithmetic is float32 with products and sums as separate steps in the order of the inputs, so
that a block's values do not depend on how a tensor is cut or on who computes it. What concerns a
whole tensor is collected in a pass of its own: counts, or float64 sums over fixed blocks in order.
Results equal mergekit 0.1.5 in float32 (`merge_methods/`) but for the order of summation and for
random numbers.
"""

from __future__ import annotations

import numpy as np

from mergesearch.methods.blocks import Block, Float, Method, Settings, sum32
from mergesearch.methods.combination import Combination
from mergesearch.methods.geometry import (
    model_stock,
    model_stock_statistics,
    nuslerp,
    nuslerp_statistics,
    slerp,
    slerp_statistics,
)
from mergesearch.methods.medians import geometric_median, geometric_median_statistics, median
from mergesearch.methods.ram import ram, ramplus, ramplus_statistics
from mergesearch.methods.sce import sce, sce_statistics
from mergesearch.methods.spheres import (
    karcher,
    karcher_statistics,
    multislerp,
    multislerp_statistics,
)
from mergesearch.methods.swaps import arcee_fusion, arcee_fusion_statistics, nearswap
from mergesearch.methods.task_arithmetic import family_methods

__all__ = ["METHODS", "Block", "Method", "Settings"]


def linear(block: Block, settings: Settings, statistics: None = None) -> Combination:
    """Return the weighted sum of the inputs, divided by the sum of weights if `normalize`."""
    divisor = float(sum32(settings.weights)) if settings.normalize else 1.0
    return Combination(block, settings.weights, divisor)


def passthrough(block: Block, settings: Settings, statistics: None = None) -> Float:
    """Return the one input times its `scale` (mergekit `merge_methods/passthrough.py`)."""
    return block.inputs[0] * np.float32(settings.factors[0])


METHODS: dict[str, Method] = {
    "linear": Method(linear, None, takes_base=False),
    "passthrough": Method(passthrough, None, takes_base=False),
    **family_methods(),
    "sce": Method(sce, sce_statistics, takes_base=True),
    "model_stock": Method(model_stock, model_stock_statistics, takes_base=True),
    "slerp": Method(slerp, slerp_statistics, takes_base=True),
    "median": Method(median, None, takes_base=False),
    "geometric_median": Method(geometric_median, geometric_median_statistics, takes_base=False),
    "nuslerp": Method(nuslerp, nuslerp_statistics, takes_base=True, base_optional=True),
    "multislerp": Method(multislerp, multislerp_statistics, takes_base=True, base_optional=True),
    "karcher": Method(karcher, karcher_statistics, takes_base=False),
    "ram": Method(ram, None, takes_base=True),
    "ramplus_tl": Method(ramplus, ramplus_statistics, takes_base=True),
    "nearswap": Method(nearswap, None, takes_base=True),
    "arcee_fusion": Method(arcee_fusion, arcee_fusion_statistics, takes_base=True),
}
