"""Methods that take from another parent into the base only some entries."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mergesearch.methods.declaration import Base, Method, Parameter
from mergesearch.methods.gram import Float64
from mergesearch.methods.inputs import Float, InputRows, InputTensor, Settings
from mergesearch.methods.shares import half_shares
from mergesearch.methods.sparsify import Entries, ranked

_SMALLEST_DIFFERENCE = np.float32(1e-6)
_QUARTILES = (0.25, 0.5, 0.75)
_SMALLEST_CHANCE = 1e-8


def nearswap(rows: InputRows, settings: Settings, statistics: None = None) -> Float:
    """Return w x + (1 - w) b, w = t / |x - b| but at most 1: what is near is swapped.

    An entry moves by at most `t` (https://huggingface.co/alchemonaut/QuartetAnemoi-70B-t0.0001;
    mergekit `merge_methods/nearswap.py`).
    """
    assert rows.base is not None
    difference = np.abs(rows.base - rows.inputs[0])
    share = np.float32(settings["t"]) / np.maximum(difference, _SMALLEST_DIFFERENCE)
    share = np.minimum(share, np.float32(1.0))
    merged: Float = share * rows.inputs[0]
    merged += (np.float32(1.0) - share) * rows.base
    return merged


@dataclass(frozen=True)
class Fusion:
    """What arcee_fusion has to know of a whole tensor.

    Attributes:
        divergences: Divergence of every row from the base's, float32.
        threshold: Least importance of an entry that is taken.
    """

    divergences: Float
    threshold: np.float32


def arcee_fusion_statistics(tensor: InputTensor, settings: Settings) -> Fusion:
    """Return the divergence of each row and the median + 1.5 interquartile ranges of importance.

    A quartile is the entry at rank floor(q (size - 1)), found by counting. mergekit draws a sample
    from tensors of more than a million entries; here all of them count.
    """
    divergences = np.concatenate([_divergences(rows) for rows in tensor.blocks()])
    lower, middle, upper = ranked(
        Entries.of(lambda: (_importance(rows, divergences) for rows in tensor.blocks())),
        [int(share * (tensor.size - 1)) for share in _QUARTILES],
    )
    return Fusion(divergences, np.float32(middle + np.float32(1.5) * (upper - lower)))


def arcee_fusion(rows: InputRows, settings: Settings, statistics: Fusion) -> Float:
    """Return the base with those entries of the other parent that are important.

    Importance is |x - b| times the divergence KL(softmax(x) || softmax(b)) of the entry's row, a
    vector being one row; an entry is taken where it reaches the threshold (mergekit
    `merge_methods/arcee_fusion.py`, whose divergence is a float32 sum; this one is float64).
    """
    assert rows.base is not None
    taken = _importance(rows, statistics.divergences) >= statistics.threshold
    merged: Float = rows.delta(0) * taken
    merged += rows.base
    return merged


def _importance(rows: InputRows, divergences: Float) -> Float:
    count, cols = rows.inputs[0].shape
    first = rows.offset // cols
    importance: Float = np.abs(rows.delta(0))
    importance *= divergences[first : first + count, None]
    return importance


def _divergences(rows: InputRows) -> Float:
    """Kullback-Leibler divergence of each row's softmax from the base's, never below zero."""
    assert rows.base is not None
    chances, others = _softmax(rows.inputs[0]), _softmax(rows.base)
    sums = np.sum(chances * np.log(chances / others), axis=-1)
    return np.maximum(sums, 0.0).astype(np.float32)


def _softmax(rows: Float) -> Float64:
    """Chances of each row in float64, all a little above zero."""
    wide = rows.astype(np.float64)
    raised = np.exp(wide - wide.max(axis=-1, keepdims=True))
    return raised / raised.sum(axis=-1, keepdims=True) + _SMALLEST_CHANCE


METHODS = (
    Method(
        "nearswap",
        nearswap,
        (Parameter("t", None, low=0.0, search_factor=10.0, role="share"),),
        Base.REQUIRED,
        shares=half_shares,
        most=1,
        formula="b moved towards one x by at most `t` in each element: what is nearer than `t` is"
        " swapped",
        in_mergekit=True,
    ),
    Method(
        "arcee_fusion",
        arcee_fusion,
        (),
        Base.REQUIRED,
        arcee_fusion_statistics,
        half_shares,
        most=1,
        formula="b with those elements of one x whose importance is at least median + 1.5"
        r" interquartile ranges; importance = \|d\| * KL(softmax(x) to softmax(b)) of the row",
        in_mergekit=True,
    ),
)
