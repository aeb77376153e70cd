"""Methods that take from another parent into the base only some entries."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mergesearch._kernels import Consensus, kernels
from mergesearch._kernels.stored import Float
from mergesearch.methods.combination import Combination
from mergesearch.methods.declaration import Base, Method, Parameter
from mergesearch.methods.inputs import InputRows, InputTensor, Settings
from mergesearch.methods.selection import ALL, Cut, entries_of, mask_of_cut, ranked
from mergesearch.methods.shares import half_shares

_QUARTILES = (0.25, 0.5, 0.75)


def nearswap(rows: InputRows, settings: Settings, statistics: None = None) -> Combination:
    """Return w x + (1 - w) b, w = t / |x - b| but at most 1: what is near is swapped.

    An entry moves by at most `t` (https://huggingface.co/alchemonaut/QuartetAnemoi-70B-t0.0001;
    mergekit `merge_methods/nearswap.py`).
    """
    return Combination(rows, (1.0,), Consensus.NEAR, limit=settings["t"], of_values=True)


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
    divergences = np.concatenate(list(tensor.map(lambda _, rows: _divergences(rows))))
    importances = entries_of(tensor, lambda _, rows: _importances(rows, divergences))
    ranks = [int(share * (tensor.size - 1)) for share in _QUARTILES]
    lower, middle, upper = ranked(importances, tensor.size, ranks)
    return Fusion(divergences, np.float32(middle + np.float32(1.5) * (upper - lower)))


def arcee_fusion(rows: InputRows, settings: Settings, statistics: Fusion) -> Combination:
    """Return the base with those entries of the other parent that are important.

    Importance is |x - b| times the divergence KL(softmax(x) || softmax(b)) of the entry's row, a
    vector being one row; an entry is taken where it reaches the threshold (mergekit
    `merge_methods/arcee_fusion.py`, whose divergence is a float32 sum; this one is float64).
    """
    reached = Cut(int(statistics.threshold.view(np.uint32)), ALL.ties_end)
    importances = _importances(rows, statistics.divergences)
    return Combination(rows, (1.0,), kept=[mask_of_cut(reached, rows.offset, importances)])


def _divergences(rows: InputRows) -> Float:
    """Kullback-Leibler divergence of each row's softmax from the base's, never below zero."""
    base, values = rows.all_stored
    into = np.empty(values.shape[0], dtype=np.float32)
    kernels().divergences(values, base, into)
    return into


def _importances(rows: InputRows, divergences: Float) -> Float:
    base, values = rows.all_stored
    count, cols = values.shape
    first = rows.offset // cols
    into = np.empty(values.shape, dtype=np.float32)
    kernels().importances(values, base, divergences[first : first + count], into)
    return into


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
