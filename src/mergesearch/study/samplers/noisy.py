"""Gaussian processes that know the error of every observation; noisy hypervolume improvement."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import threadpoolctl  # type: ignore[import-untyped]
from numpy.typing import NDArray

from mergesearch.study.bayesian.points import parameters_of, point_of
from mergesearch.study.bayesian.proposal import Observed, next_point
from mergesearch.study.records import State
from mergesearch.study.samplers.problem import Observation, Problem, Proposal, trial_seed

Floats = NDArray[np.float64]

SMALLEST_ERROR = 1e-6
"""Standard error that an observation has at least, so that equal points are no contradiction."""


def noisy_gp(problem: Problem, history: Sequence[Observation], number: int) -> Proposal:
    """The point that is expected to add most to the true front; see `bayesian`."""
    signs = np.array([1.0 if way == "maximize" else -1.0 for way in problem.directions])
    complete = [trial for trial in history if trial.state is State.COMPLETE]
    observed = Observed(
        points=_points(problem, history, State.COMPLETE),
        gains=np.array([trial.values for trial in complete]) * signs,
        noise=np.stack([_noise(complete, column) for column in range(len(signs))]),
        failed=_points(problem, history, State.FAILED),
        running=_points(problem, history, State.RUNNING),
    )
    choices = [len(dimension.choices) for dimension in problem.dimensions]
    rng = np.random.default_rng(trial_seed(problem.seed, number))
    # Matrices of a few hundred rows: more threads would cost several times what one does.
    with threadpoolctl.threadpool_limits(1):
        point = next_point(observed, choices, np.array(problem.reference) * signs, rng)
    return Proposal(parameters_of(problem.dimensions, point), {})


def _points(problem: Problem, history: Sequence[Observation], state: State) -> Floats:
    """Points of the trials in a state, (trials, dimensions)."""
    points = [
        point_of(problem.dimensions, trial.parameters) for trial in history if trial.state is state
    ]
    return np.array(points).reshape(-1, len(problem.dimensions))


def _noise(trials: Sequence[Observation], column: int) -> Floats:
    """Covariance of the errors of an objective's values, (trials, trials)."""
    if all(len(trial.errors) for trial in trials):
        errors = np.array([trial.errors[column] for trial in trials])
        noise: Floats = errors @ errors.T
    else:
        noise = np.diag([trial.standard_errors[column] ** 2 for trial in trials])
    return noise + SMALLEST_ERROR**2 * np.eye(len(trials))
