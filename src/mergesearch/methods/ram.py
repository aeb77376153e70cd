"""Reinforced agent merging: what several deltas share is averaged, what one has alone is kept.

(https://arxiv.org/abs/2601.13572; mergekit `merge_methods/ram.py`)
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np
import numpy.typing as npt

from mergesearch._kernels import Consensus, Mask
from mergesearch.methods.combination import Combination
from mergesearch.methods.declaration import Base, Method, Parameter
from mergesearch.methods.inputs import InputRows, InputTensor, Settings
from mergesearch.methods.selection import Cut, mask_of_cut

_ONES = np.array([number.bit_count() for number in range(256)])


def ram(rows: InputRows, settings: Settings, statistics: None = None) -> Combination:
    """Return, per entry, b + the mean of those deltas whose magnitude is above `epsilon`."""
    return ramplus(rows, settings, [1.0] * len(rows.stored_inputs))


def ramplus_statistics(tensor: InputTensor, settings: Settings) -> tuple[float, ...]:
    """Return how much each input's own entries are strengthened, over the whole tensor.

    1 + r clip(rho, 0, alpha), rho = (changed entries that others change too) / (changed by it
    alone), the divisor at least `epsilon`.
    """

    def counts(_: int, rows: InputRows) -> npt.NDArray[np.int64]:
        changed = _changed(rows, settings["epsilon"])
        once, twice = changed[0], np.zeros_like(changed[0])
        for mask in changed[1:]:
            once, twice = once | mask, twice | (once & mask)
        return np.array(
            [(_count(mask & twice), _count(mask & ~twice)) for mask in changed], dtype=np.int64
        )

    shared, alone = reduce(np.add, tensor.map(counts)).T
    rho = shared / np.maximum(alone, settings["epsilon"])
    factors = 1.0 + settings["r"] * np.clip(rho, 0.0, settings["alpha"])
    return tuple(float(factor) for factor in factors)


def ramplus(rows: InputRows, settings: Settings, statistics: Sequence[float]) -> Combination:
    """Return as `ram`, entries that one input alone changes times that input's factor."""
    return Combination(rows, statistics, Consensus.CHANGED, limit=settings["epsilon"])


def _changed(rows: InputRows, epsilon: float) -> list[Mask]:
    """Which entries each input changes."""
    above = Cut(int(np.float32(epsilon).view(np.uint32)), 0)
    return [
        mask_of_cut(above, rows.offset, values, rows.stored_base) for values in rows.stored_inputs
    ]


def _count(mask: Mask) -> int:
    return int(_ONES[mask.view(np.uint8)].sum())


_EPSILON = Parameter("epsilon", 1e-5, low=0.0)

METHODS = (
    Method(
        "ram",
        ram,
        (_EPSILON,),
        Base.REQUIRED,
        formula="b + per element the mean of the deltas with a magnitude above `epsilon`",
        in_mergekit=True,
    ),
    Method(
        "ramplus_tl",
        ramplus,
        (_EPSILON, Parameter("r", 0.1), Parameter("alpha", 0.2, low=0.0)),
        Base.REQUIRED,
        ramplus_statistics,
        formula="as `ram`; an element that only parent i changes counts 1 + `r` * min(rho_i,"
        " `alpha`) times, rho_i = (elements that i and others change) / (that i alone changes),"
        " per tensor",
        in_mergekit=True,
    ),
)
