"""Reinforced agent merging: what several deltas share is averaged, what one has alone is kept.

(https://arxiv.org/abs/2601.13572; mergekit `merge_methods/ram.py`)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mergesearch.methods.declaration import Base, Method, Parameter
from mergesearch.methods.gram import vectors_of
from mergesearch.methods.inputs import Float, InputRows, InputTensor, Settings, weighted_sum

Mask = npt.NDArray[np.bool_]


def ram(rows: InputRows, settings: Settings, statistics: None = None) -> Float:
    """Return, per entry, b + the mean of those deltas whose magnitude is above `epsilon`."""
    return _merge(rows, settings, None)


def ramplus_statistics(tensor: InputTensor, settings: Settings) -> tuple[float, ...]:
    """Return how much each input's own entries are strengthened, over the whole tensor.

    1 + r clip(rho, 0, alpha), rho = (changed entries that others change too) / (changed by it
    alone), the divisor at least `epsilon`.
    """
    shared, alone = 0, 0
    for rows in tensor.blocks():
        changed = np.stack(_changed(vectors_of(rows), settings))
        count = changed.sum(axis=0)
        shared = shared + (changed & (count > 1)).sum(axis=(1, 2))
        alone = alone + (changed & (count == 1)).sum(axis=(1, 2))
    rho = shared / np.maximum(alone, settings["epsilon"])
    factors = 1.0 + settings["r"] * np.clip(rho, 0.0, settings["alpha"])
    return tuple(float(factor) for factor in factors)


def ramplus(rows: InputRows, settings: Settings, statistics: tuple[float, ...]) -> Float:
    """Return as `ram`, entries that one input alone changes times that input's factor."""
    return _merge(rows, settings, statistics)


def _merge(rows: InputRows, settings: Settings, factors: Sequence[float] | None) -> Float:
    assert rows.base is not None
    deltas = vectors_of(rows)
    changed = _changed(deltas, settings)
    count, merged = np.zeros_like(rows.base), np.zeros_like(rows.base)
    for delta, mask in zip(deltas, changed, strict=True):
        count += mask
        merged += delta * mask
    merged /= np.maximum(count, np.float32(1.0))
    if factors is not None:
        owners = weighted_sum([mask.astype(np.float32) for mask in changed], factors)
        merged *= np.where(count == 1, owners, np.float32(1.0))
    merged += rows.base
    return merged


def _changed(deltas: Sequence[Float], settings: Settings) -> list[Mask]:
    """Which entries each input changes."""
    return [np.abs(delta) > np.float32(settings["epsilon"]) for delta in deltas]


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
