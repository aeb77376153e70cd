"""The next point to try, from everything that was observed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mergesearch.study.bayesian.acquisition import CautiousGain, ExpectedGain, best_point
from mergesearch.study.bayesian.gaussian_process import Process, fit_process
from mergesearch.study.bayesian.geometry import Geometry
from mergesearch.study.pareto import Floats, not_dominated


@dataclass(frozen=True)
class Observed:
    """What was observed, as gains: more is better in every objective.

    Attributes:
        points: Points of the complete trials, (trials, dimensions).
        gains: Estimated gain of each objective, (trials, objectives).
        noise: Covariance of the errors of the gains, (objectives, trials, trials).
        failed: Points of trials that failed, (failed, dimensions).
        running: Points of trials that still run, (running, dimensions).
    """

    points: Floats
    gains: Floats
    noise: Floats
    failed: Floats
    running: Floats


def shrunk(observed: Observed, geometry: Geometry) -> tuple[Floats, Floats]:
    """Return what neighbours and errors leave of the observed gains.

    Returns:
        Means (trials, objectives) and covariances (objectives, trials, trials) of the processes at
        the points of the complete trials.
    """
    n_complete = len(observed.gains)
    posteriors = [
        _process(observed, objective, geometry).posterior_with_mean(float(np.var(gains)) or 1.0)
        for objective, gains in enumerate(observed.gains.T)
    ]
    return (
        np.column_stack([mean[:n_complete] for mean, _ in posteriors]),
        np.stack([covariance[:n_complete, :n_complete] for _, covariance in posteriors]),
    )


def next_point(
    observed: Observed,
    geometry: Geometry,
    choices: Sequence[int],
    reference: Floats,
    rng: np.random.Generator,
    *,
    cautious: bool = True,
) -> Floats:
    """Return the point (dimensions,) that adds most to the front.

    Failed trials count as observations of the worst gains, so that the search goes elsewhere;
    running ones as observations of what is expected of them.

    Args:
        choices: Number of choices of each dimension, 0 for a range.
        reference: Gains of the reference point, (objectives,).
        rng: Source of all draws.
        cautious: Whether it is what a point adds by all that is known, as long as there is such a
            point, rather than what it is expected to add.
    """
    processes = [
        _process(observed, objective, geometry) for objective in range(observed.gains.shape[1])
    ]
    expected = np.column_stack([process.posterior[0] for process in processes])
    promising = processes[0].points[not_dominated(expected)]
    if cautious:
        sure = CautiousGain(processes, reference)
        point = best_point(sure, promising, choices, rng)
        if sure(point[None])[0] > 0.0:
            return point
    return best_point(ExpectedGain(processes, reference, rng), promising, choices, rng)


def _process(observed: Observed, objective: int, geometry: Geometry) -> Process:
    gains, noise = observed.gains[:, objective], observed.noise[objective]
    typical = float(np.mean(np.diag(noise)))
    points = np.vstack([observed.points, observed.failed])
    gains = np.r_[gains, np.full(len(observed.failed), gains.min())]
    noise = _extended(noise, len(observed.failed), typical)
    process = fit_process(points, gains, noise, geometry)
    if not len(observed.running):
        return process
    expected, _ = process.given(process.posterior[0][None], observed.running)
    return replace(
        process,
        points=np.vstack([points, observed.running]),
        values=np.r_[process.values, expected[0] - process.mean],
        noise=_extended(process.noise, len(observed.running), typical),
    )


def _extended(noise: Floats, count: int, variance: float) -> Floats:
    """A covariance with `count` further, independent errors."""
    size = len(noise)
    extended = variance * np.eye(size + count)
    extended[:size, :size] = noise
    return extended
