"""Medians of the parents: of each entry, and the geometric one of whole tensors.

One odd parent among several moves neither far, however far away it is. mergekit has neither.
"""

from __future__ import annotations

import numpy as np

from mergesearch._kernels import Consensus
from mergesearch.methods.combination import Combination
from mergesearch.methods.declaration import Method
from mergesearch.methods.gram import Float64, gram_of_tensor
from mergesearch.methods.inputs import InputRows, InputTensor, Settings

_MOST_STEPS = 1000
_SMALLEST_STEP = 1e-10  # change of a coefficient below which a step is the last
_UNDECIDED = 1e-9  # two points pull alike from everywhere between them
_SAME_PLACE = 1e-12  # squared distance, relative to the largest between parents


def median(rows: InputRows, settings: Settings, statistics: None = None) -> Combination:
    """Return each entry's median, the mean of the middle two for an even number of parents."""
    return Combination(rows, [1.0] * len(rows.stored_inputs), Consensus.MEDIAN)


def geometric_median_statistics(tensor: InputTensor, settings: Settings) -> Float64:
    """Return each parent's coefficient in the geometric median of the whole tensor, shape `(n,)`.

    Every step of Weiszfeld's is a weighted mean of the parents, so that the distances between
    them, and those from the start, are all that is needed of the tensor.
    """
    products = gram_of_tensor(tensor, from_middle=True)
    start = np.diag(products)
    return weiszfeld(np.maximum(start[:, None] + start - 2.0 * products, 0.0), start)


def geometric_median(rows: InputRows, settings: Settings, statistics: Float64) -> Combination:
    """Return the tensor with the smallest sum of distances to the parents.

    Weiszfeld's iteration from the mean of the parents' mean and entrywise median, with the step of
    Vardi and Zhang where it meets a parent ("The multivariate L1-median and associated data
    depth", PNAS 2000). Added to the first parent as differences, so that what is
    equal in all parents stays as it is.
    """
    first, *others = rows.stored_inputs
    if not others:
        return Combination(InputRows(first, [first], rows.offset), (1.0,))
    return Combination(InputRows(first, others, rows.offset), statistics[1:].astype(np.float32))


def weiszfeld(between: Float64, start: Float64) -> Float64:
    """Return the coefficients, which sum to 1, of the geometric median of n points.

    Args:
        between: Squared distances of all pairs, shape `(n, n)`.
        start: Squared distances from the starting point, shape `(n,)`.
    """
    here = _SAME_PLACE * float(between.max())
    if not 0.0 < here < np.inf:  # all in one place, or no places at all
        return np.full(len(start), 1.0 / len(start) if here == 0.0 else np.nan)
    for place in between <= here:  # the points where each point is, itself among them
        alone = place / place.sum()
        if _pull_at(alone, between, here) < place.sum() - _UNDECIDED:
            return alone
    coefficients = _pulls(start, here) if (start > here).all() else (start <= here).astype(float)
    coefficients /= coefficients.sum()
    for _ in range(_MOST_STEPS):
        following = _step(coefficients, between, here)
        if np.abs(following - coefficients).max() < _SMALLEST_STEP:
            return following
        coefficients = following
    return coefficients


def _pulls(squares: Float64, here: float) -> Float64:
    """One over the distance of each point, none from a point that is met."""
    met = squares <= here
    return np.where(met, 0.0, 1.0 / np.sqrt(np.where(met, 1.0, squares)))


def _step(coefficients: Float64, between: Float64, here: float) -> Float64:
    """One step from the weighted mean of the points."""
    spread = 0.5 * coefficients @ between @ coefficients
    squares = between @ coefficients - spread
    pulls = _pulls(squares, here)
    target = pulls / pulls.sum()
    met = int(np.count_nonzero(squares <= here))
    if not met:
        return target
    length = _pull_at(coefficients, between, here)
    stay = min(1.0, met / length) if length > 0.0 else 1.0
    return (1.0 - stay) * target + stay * coefficients


def _pull_at(coefficients: Float64, between: Float64, here: float) -> float:
    """Length of the sum of (x_i - y) / |x_i - y| over the points that y does not meet.

    The sum is a combination of the points whose coefficients sum to zero. Where it is shorter than
    the number of points that y meets, y is the geometric median.
    """
    squares = between @ coefficients - 0.5 * coefficients @ between @ coefficients
    pulls = _pulls(squares, here)
    sums = pulls - pulls.sum() * coefficients
    return float(np.sqrt(max(0.0, -0.5 * sums @ between @ sums)))


METHODS = (
    Method(
        "median",
        median,
        formula="per element the median of the x_i, the mean of the middle two for an even number",
    ),
    Method(
        "geometric_median",
        geometric_median,
        statistics=geometric_median_statistics,
        formula="per tensor the point with the smallest sum of distances to the x_i (Weiszfeld,"
        " from the mean of their mean and median); of two parents, the middle",
    ),
)
