"""Gaussian processes that know the error of every observation; noisy hypervolume improvement."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import numpy as np
import threadpoolctl  # type: ignore[import-untyped]

from mergesearch.study.bayesian.geometry import Geometry
from mergesearch.study.bayesian.proposal import Observed, next_point, shrunk
from mergesearch.study.estimation.estimates import Estimates
from mergesearch.study.pareto import Floats, best_fronts, signs_of
from mergesearch.study.records import Observation, State
from mergesearch.study.samplers.problem import (
    Problem,
    Proposal,
    parameters_of,
    point_of,
    trial_seed,
)

_log = logging.getLogger(__name__)

CAUTIOUS_TRIALS = 25
"""Trials that build on what is known; from then on every other one looks for what may be."""
LARGEST_HISTORY = 300
"""Complete trials that a process is fitted to, about: the best ones. Cost grows with the cube."""
SMALLEST_ERROR = 1e-6
"""Standard error that an observation has at least, so that equal points agree."""


def noisy_gp(problem: Problem, history: Sequence[Observation], number: int) -> Proposal:
    """The point that adds most to the true front: for certain or, later on, in expectation.

    See `bayesian`.
    """
    signs = signs_of(problem.directions)
    rng = np.random.default_rng(trial_seed(problem.seed, number))
    # Matrices of a few hundred rows: more threads would cost several times what one does.
    with threadpoolctl.threadpool_limits(1):
        point = next_point(
            _observed(problem, history),
            Geometry.of(problem.dimensions, problem.relevance()),
            _choices(problem),
            np.array(problem.reference) * signs,
            rng,
            cautious=number < CAUTIOUS_TRIALS or number % 2 == 0,
        )
    return Proposal(parameters_of(problem.dimensions, point), {})


def shrunk_estimates(problem: Problem, trials: Mapping[int, Observation]) -> Estimates:
    """Return the objectives of complete trials, by number, as the Gaussian processes see them.

    A value that luck has made stand out is drawn towards those of similar candidates. Where the
    processes fail numerically, the values stay as they are.
    """
    observed = _observed(problem, list(trials.values()))
    try:
        with threadpoolctl.threadpool_limits(1):
            gains, covariances = shrunk(
                observed, Geometry.of(problem.dimensions, problem.relevance())
            )
    except (ArithmeticError, ValueError, np.linalg.LinAlgError) as error:
        _log.warning("the values of the search could not be shrunk: %s", error)
        gains, covariances = observed.gains, observed.noise
    return Estimates(tuple(trials), gains * signs_of(problem.directions), covariances)


def _observed(problem: Problem, history: Sequence[Observation]) -> Observed:
    signs = signs_of(problem.directions)
    complete = [trial for trial in history if trial.state is State.COMPLETE]
    rows = best_fronts([trial.values for trial in complete], problem.directions, LARGEST_HISTORY)
    complete = [complete[row] for row in rows]
    return Observed(
        points=_points(problem, complete, State.COMPLETE),
        gains=np.array([trial.values for trial in complete]) * signs,
        noise=np.stack([_noise(complete, column) for column in range(len(signs))]),
        failed=_points(problem, history, State.FAILED),
        running=_points(problem, history, State.RUNNING),
    )


def _choices(problem: Problem) -> list[int]:
    return [len(dimension.choices) for dimension in problem.dimensions]


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
