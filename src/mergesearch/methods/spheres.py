"""Means on a sphere of any number of parents: multislerp and the Karcher mean.

Tensors count as vectors; their directions are averaged on the unit sphere and their lengths
apart. Both work on coefficients of the inputs only (`gram.py`).
"""

from __future__ import annotations

import math

import numpy as np

from mergesearch.methods.combination import Combination
from mergesearch.methods.declaration import WEIGHT, Base, Method, Parameter, switch
from mergesearch.methods.gram import Float64, gram_of_tensor, length
from mergesearch.methods.inputs import InputRows, InputTensor, Settings
from mergesearch.methods.shares import weight_shares

_OPPOSITE = 1e-7  # radians from the other side of the sphere, where no way there is shortest
_CANCELLED = 1e-7  # length of a sum of directions, of the sum of their weights, that is rounding


def multislerp_statistics(tensor: InputTensor, settings: Settings) -> Float64:
    """Return the coefficient of each input, or of its delta, shape `(n,)`.

    NaN where the weights sum to zero though they are to be normalized, or where the directions of
    three or more cancel.
    """
    products = gram_of_tensor(tensor)
    lengths = np.sqrt(np.diag(products))
    weights = np.array(settings["weight"])
    with np.errstate(divide="ignore", invalid="ignore"):
        if settings["normalize_weights"]:
            weights = weights / weights.sum()
        if not lengths.any():
            return weights
        units = weights / (lengths + settings["eps"])
        mean = length(units, products)
        if mean < max(settings["eps"], _CANCELLED * np.abs(weights).sum()):
            return weights if len(weights) == 2 else np.full(len(weights), np.nan)
        return units * ((lengths @ weights) * math.cos(settings["eps"]) / mean)


def multislerp(rows: InputRows, settings: Settings, statistics: Float64) -> Combination:
    """Return sum(w_i |v_i|) * m / |m|, m = sum(w_i v_i / |v_i|), the v_i inputs or deltas.

    The weighted mean of the directions, put back on the sphere, times the weighted mean of the
    lengths; with a base the v_i are deltas, and it is added. Goddard, "Multi-SLERP"
    (https://goddard.blog/posts/multislerp-wow-what-a-cool-idea), takes one more step from m, along
    the weighted sum of what leads from m to each direction; that sum is zero, whatever the
    weights. `eps` is added to every length, and where |m| is below it two vectors are added
    straight (mergekit `merge_methods/multislerp.py`). One input stays as it is.
    """
    return _combination(rows, statistics)


def _combination(rows: InputRows, coefficients: Float64) -> Combination:
    """The combination of the inputs, or of their deltas; a single input stays as it is."""
    if len(rows.stored_inputs) == 1:
        return Combination(InputRows(None, rows.stored_inputs, rows.offset), (1.0,))
    return Combination(rows, coefficients.astype(np.float32))


def karcher_statistics(tensor: InputTensor, settings: Settings) -> Float64:
    """Return the coefficient of each input, shape `(n,)`."""
    return karcher_mean(gram_of_tensor(tensor), settings["max_iter"], settings["tol"])


def karcher(rows: InputRows, settings: Settings, statistics: Float64) -> Combination:
    """Return the mean length times the direction with the smallest sum of squared angles.

    (Karcher, "Riemannian center of mass and mollifier smoothing", 1977; mergekit
    `merge_methods/karcher.py`.) One input stays as it is.
    """
    return _combination(rows, statistics)


def karcher_mean(products: Float64, max_iter: int, tol: float) -> Float64:
    """Return the coefficients of the Karcher mean of n vectors, all of equal weight.

    From the mean of the directions, put on the sphere, each step follows the mean of the arcs to
    all of them: cos(|s|) m + sin(|s|) s / |s|, s = mean(a_i / sin(a_i) (u_i - cos(a_i) m)).

    Args:
        products: Inner products of the vectors, shape `(n, n)`.
        max_iter: Largest number of steps.
        tol: Length below which a step is the last and an input has no direction, and angle below
            which an input does not pull. Where all inputs are that short the mean is zero.
    """
    lengths = np.sqrt(np.diag(products))
    valid = lengths > tol
    if not valid.any():
        return np.zeros(len(lengths))
    inverse = np.where(valid, 1.0 / np.where(valid, lengths, 1.0), 0.0)
    cosines = products * inverse[:, None] * inverse
    share = valid / valid.sum()
    mean = share
    if length(share, cosines) < max(tol, _CANCELLED):
        mean = (np.arange(len(lengths)) == np.argmax(valid)).astype(np.float64)
    mean = mean / length(mean, cosines)
    for _ in range(max_iter):
        step = _pull(mean, share, cosines, tol)
        angle = length(step, cosines)
        if angle < tol or angle == 0.0:
            break
        mean = math.cos(angle) * mean + math.sin(angle) / angle * step
        mean = mean / length(mean, cosines)
    return mean * inverse * lengths.mean()


def _pull(mean: Float64, share: Float64, cosines: Float64, tol: float) -> Float64:
    """The mean of the arcs from a point of the sphere to the directions."""
    towards = np.clip(cosines @ mean, -1.0, 1.0)
    angles = np.arccos(towards)
    pulls = (share > 0.0) & (angles >= tol) & (angles < math.pi - _OPPOSITE)
    sines = np.where(pulls, np.sin(angles), 1.0)
    factors = np.where(pulls, share * angles / sines, 0.0)
    return factors - float(factors @ towards) * mean


METHODS = (
    Method(
        "multislerp",
        multislerp,
        (WEIGHT, switch("normalize_weights", True), Parameter("eps", 1e-8, low=0.0)),
        Base.OPTIONAL,
        multislerp_statistics,
        weight_shares,
        formula=r"sum(w_i \|d_i\|) * m / \|m\|, m = sum(w_i d_i / (\|d_i\| + `eps`)): the mean"
        " direction times the mean length; of the x_i themselves where no base is named",
        in_mergekit=True,
    ),
    Method(
        "karcher",
        karcher,
        (Parameter("max_iter", 10, int, low=0), Parameter("tol", 1e-5, low=0.0)),
        Base.COUNTED,
        karcher_statistics,
        formula="the direction with the smallest sum of squared angles to the x_i, times their mean"
        " length; steps end after `max_iter` or below `tol`; a base that is named counts as one"
        " more x_i",
        in_mergekit=True,
    ),
)
