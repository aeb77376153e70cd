"""Where to look next: two measures of what a point adds to the front, and their best point.

`ExpectedGain` looks for what may turn out to be better: noisy expected hypervolume improvement
(Daulton, Balandat and Bakshy, "Parallel Bayesian Optimization of Multiple Noisy Objectives with
Expected Hypervolume Improvement", 2021). The observed points' true values are drawn from what the
processes know of them, and the improvement over the front of each draw is averaged.

`CautiousGain` looks for what is known to be better: every value is taken to be worse than expected
by its standard deviation. Few and noisy values can't confirm the finds of an optimist;
what is good by all that its neighbours tell holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from mergesearch.study.bayesian.gaussian_process import Process
from mergesearch.study.bayesian.improvement import (
    expected_improvement,
    free_boxes,
    improvement_slopes,
)
from mergesearch.study.pareto import Floats, not_dominated

Counts = NDArray[np.int64]

DRAWS = 16
SPREAD_POINTS = 512
NEAR_POINTS = 512
CLIMBS = 6
CLIMB_STEPS = 30
CAUTION = 1.0
"""Standard deviations by which `CautiousGain` takes a value to be worse than expected."""
SURE = 1e-9
"""Standard deviation of a value that is taken as known, next to nothing."""


class Acquisition(Protocol):
    """A measure of what points are worth."""

    def __call__(self, points: Floats) -> Floats:
        """Return what each of `points` (points, dimensions) is worth, (points,)."""
        ...

    def slope(self, point: Floats) -> tuple[float, Floats]:
        """Return what one point (dimensions,) is worth, and the derivatives of that."""
        ...


class ExpectedGain:
    """Expected hypervolume that a point adds to the front of the observed points.

    Args:
        processes: Process of each objective.
        reference: Reference point of the hypervolume, (objectives,).
        rng: Source of the draws of the truth.
    """

    def __init__(
        self, processes: Sequence[Process], reference: Floats, rng: np.random.Generator
    ) -> None:
        self._processes = processes
        self._truths = [_draws(process, rng) for process in processes]
        fronts = np.stack(self._truths, axis=-1)
        self._boxes = [free_boxes(front[not_dominated(front)], reference) for front in fronts]
        self._draw_of_box = np.repeat(np.arange(DRAWS), [len(lows) for lows, _ in self._boxes])
        self._lows = np.vstack([lows for lows, _ in self._boxes])
        self._highs = np.vstack([highs for _, highs in self._boxes])

    def __call__(self, points: Floats) -> Floats:
        """Return the expected improvement of each point, (points,)."""
        given = [
            process.given(truths, points)
            for process, truths in zip(self._processes, self._truths, strict=True)
        ]
        deviations = np.sqrt(np.column_stack([variances for _, variances in given]))
        means = np.stack([means for means, _ in given], axis=-1)
        total = np.zeros(len(points))
        for mean, (lows, highs) in zip(means, self._boxes, strict=True):
            total += expected_improvement(mean, deviations, lows, highs)
        return total / len(self._boxes)

    def slope(self, point: Floats) -> tuple[float, Floats]:
        """Return the expected improvement of one point (dimensions,) and its derivatives."""
        given = [
            process.slopes(truths, point)
            for process, truths in zip(self._processes, self._truths, strict=True)
        ]
        deviation = np.sqrt(np.concatenate([variance for _, variance, _, _ in given]))
        means = np.stack([means for means, _, _, _ in given], axis=-1)
        gains, by_mean, by_deviation = improvement_slopes(
            means[self._draw_of_box], deviation, self._lows, self._highs
        )
        slope = np.zeros(len(point))
        for column, (_, _, mean_slopes, variance_slope) in enumerate(given):
            slope += by_mean[:, column] @ mean_slopes[self._draw_of_box]
            slope += by_deviation[:, column].sum() * variance_slope / (2 * deviation[column])
        return float(gains.sum()) / DRAWS, slope / DRAWS


class CautiousGain:
    """Hypervolume that a point adds where it and all observed ones are worse than expected.

    Args:
        processes: Process of each objective.
        reference: Reference point of the hypervolume, (objectives,).
    """

    def __init__(self, processes: Sequence[Process], reference: Floats) -> None:
        self._processes = processes
        means, covariances = zip(*(process.posterior for process in processes), strict=True)
        known = _cautious(
            np.column_stack(means), np.column_stack([np.diag(errors) for errors in covariances])
        )
        self._lows, self._highs = free_boxes(known[not_dominated(known)], reference)

    def __call__(self, points: Floats) -> Floats:
        """Return the improvement of each point, (points,)."""
        means, variances = zip(
            *(process.foreseen(points) for process in self._processes), strict=True
        )
        values = _cautious(np.column_stack(means), np.column_stack(variances))
        return expected_improvement(values, np.full_like(values, SURE), self._lows, self._highs)

    def slope(self, point: Floats) -> tuple[float, Floats]:
        """Return the improvement of one point (dimensions,) and its derivatives."""
        means, variances, mean_slopes, variance_slopes = (
            np.array(column)
            for column in zip(
                *(process.foreseen_slopes(point) for process in self._processes), strict=True
            )
        )
        values = np.broadcast_to(_cautious(means, variances), self._lows.shape)
        gains, by_value, _ = improvement_slopes(
            values, np.full(len(means), SURE), self._lows, self._highs
        )
        value_slopes = mean_slopes - CAUTION * variance_slopes / (2 * np.sqrt(variances))[:, None]
        return float(gains.sum()), by_value.sum(axis=0) @ value_slopes


def _cautious(means: Floats, variances: Floats) -> Floats:
    """Values that are worse than expected by `CAUTION` standard deviations."""
    values: Floats = means - CAUTION * np.sqrt(variances)
    return values


def _draws(process: Process, rng: np.random.Generator) -> Floats:
    """Draws of the truth at the observed points, (draws, points)."""
    mean, covariance = process.posterior
    values, vectors = np.linalg.eigh(covariance)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    draws: Floats = mean + rng.standard_normal((DRAWS, len(mean))) @ root.T
    return draws


def best_point(
    acquisition: Acquisition, promising: Floats, choices: Sequence[int], rng: np.random.Generator
) -> Floats:
    """Return the point of the largest improvement: a wide search, then climbs from the best.

    Args:
        acquisition: Improvement to maximize.
        promising: Points near which to look as well, (points, dimensions).
        choices: Number of choices of each dimension, 0 for a range.
        rng: Source of the points that are tried.
    """
    from scipy.stats import qmc  # takes half a second

    n_choices = np.array(choices)
    wide = qmc.Sobol(len(choices), rng=rng).random(SPREAD_POINTS)
    wide = np.where(n_choices > 0, np.floor(wide * n_choices), wide)
    near = _stepped(promising[rng.integers(len(promising), size=NEAR_POINTS)], n_choices, 0.2, rng)
    tried = np.vstack([wide, near])
    gains = acquisition(tried)
    best = [_climbed(acquisition, tried[index], n_choices) for index in np.argsort(-gains)[:CLIMBS]]
    return max(best, key=lambda climb: climb[0])[1]


def _climbed(acquisition: Acquisition, start: Floats, n_choices: Counts) -> tuple[float, Floats]:
    """The improvement at the top of the slope from `start`, and the point there."""
    scale, _ = acquisition.slope(start)
    if scale <= 0.0:
        return 0.0, start

    def loss(point: Floats) -> tuple[float, Floats]:
        gain, slope = acquisition.slope(point)
        return -gain / scale, -slope / scale

    bounds = [(0.0, 1.0) if n == 0 else (at, at) for n, at in zip(n_choices, start, strict=True)]
    found = minimize(
        loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": CLIMB_STEPS}
    )
    return -float(found.fun) * scale, np.asarray(found.x)


def _stepped(points: Floats, n_choices: Counts, size: float, rng: np.random.Generator) -> Floats:
    """Points moved in some of their dimensions, a choice now and then drawn anew."""
    n, d = points.shape
    moved = rng.random((n, d)) < rng.choice([2 / d, 0.4, 1.0], size=(n, 1))
    steps = rng.normal(0, size, (n, d)) * rng.choice([1.0, 0.3], size=(n, 1))
    numbers = np.clip(points + steps, 0.0, 1.0)
    drawn = np.floor(rng.random((n, d)) * np.maximum(n_choices, 1))
    redrawn = np.where(rng.random((n, d)) < 0.1, drawn, points)
    return np.where(moved & (n_choices == 0), numbers, np.where(n_choices > 0, redrawn, points))
