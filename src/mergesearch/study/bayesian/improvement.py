"""Expected hypervolume improvement in closed form, for any number of objectives.

Values are gains: more is better in every column. The region above the reference point that a front
does not dominate is cut into boxes; the part of a box that a candidate would win is a product over
objectives, so that for independent normal values its expectation is a product too (Emmerich,
Yang, Deutz, Wang and Fonseca, "A multicriteria generalization of Bayesian global optimization",
2016, section 4).
"""

from __future__ import annotations

import numpy as np
from scipy.special import erf

from mergesearch.study.pareto import Floats


def free_boxes(front: Floats, reference: Floats) -> tuple[Floats, Floats]:
    """Cut what `front` (members, objectives) leaves free above `reference` into disjoint boxes.

    Returns:
        Lower and upper corners, (boxes, objectives); upper ones may be infinite.
    """
    above = front[(front > reference).all(axis=1)]
    if len(reference) == 1:
        low = above.max(axis=0) if len(above) else reference
        return low.reshape(1, 1), np.full((1, 1), np.inf)
    # Slices of the last objective, between which the same members dominate.
    heights = np.unique(np.r_[reference[-1], above[:, -1]])
    lows, highs = [], []
    for low, high in zip(heights, np.r_[heights[1:], np.inf], strict=True):
        inner_low, inner_high = free_boxes(above[above[:, -1] >= high, :-1], reference[:-1])
        lows.append(np.column_stack([inner_low, np.full(len(inner_low), low)]))
        highs.append(np.column_stack([inner_high, np.full(len(inner_high), high)]))
    return np.vstack(lows), np.vstack(highs)


def expected_improvement(means: Floats, deviations: Floats, lows: Floats, highs: Floats) -> Floats:
    """Expected hypervolume that each point adds, (points,).

    Args:
        means: Expected gains, (points, objectives).
        deviations: Standard deviations of the gains, (points, objectives).
        lows: Lower corners of the free boxes, (boxes, objectives).
        highs: Upper corners of the free boxes.
    """
    total: Floats = np.ones((len(means), len(lows)))
    for column in range(means.shape[1]):
        mean, deviation = means[:, column, None], deviations[:, column, None]
        finite = np.isfinite(highs[:, column])
        won = _expected_excess(mean, deviation, lows[:, column])
        top = np.where(finite, highs[:, column], 0.0)
        won = won - np.where(finite, _expected_excess(mean, deviation, top), 0.0)
        total *= won
    return np.asarray(total.sum(axis=1))


def improvement_slopes(
    mean: Floats, deviation: Floats, lows: Floats, highs: Floats
) -> tuple[Floats, Floats, Floats]:
    """Expected improvement of one point in each free box, and how it grows.

    Args:
        mean: Expected gain as each box sees it, (boxes, objectives).
        deviation: Standard deviation of the gains, (objectives,).
        lows: Lower corners of the free boxes, (boxes, objectives).
        highs: Upper corners of the free boxes.

    Returns:
        Improvement (boxes,), and its derivatives by mean and by deviation, (boxes, objectives).
    """
    finite = np.isfinite(highs)
    tops = np.where(finite, highs, 0.0)
    won = _expected_excess(mean, deviation, lows)
    won = won - np.where(finite, _expected_excess(mean, deviation, tops), 0.0)
    low, high = (lows - mean) / deviation, np.where(finite, (tops - mean) / deviation, np.inf)
    by_mean = _cumulative(high) - _cumulative(low)
    by_deviation = _density(low) - _density(high)
    others = np.stack(
        [np.delete(won, column, axis=1).prod(axis=1) for column in range(won.shape[1])], axis=1
    )
    return won.prod(axis=1), others * by_mean, others * by_deviation


def _expected_excess(mean: Floats, deviation: Floats, level: Floats) -> Floats:
    """Expectation of max(0, value - level) for a normal value."""
    scaled = (mean - level) / deviation
    excess: Floats = deviation * (scaled * _cumulative(scaled) + _density(scaled))
    return excess


def _cumulative(scaled: Floats) -> Floats:
    return np.asarray(0.5 * (1 + erf(scaled / np.sqrt(2))))


def _density(scaled: Floats) -> Floats:
    return np.asarray(np.exp(-0.5 * scaled**2) / np.sqrt(2 * np.pi))
