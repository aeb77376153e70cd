"""CMA-ES on one weighted sum of the objectives, as others search merges; for comparison.

The equally weighted sum of gains, each above its reference. One generation after the other is
asked and told again for every proposal, so that it follows from the record alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mergesearch.study.pareto import signs_of
from mergesearch.study.records import Observation, State
from mergesearch.study.samplers.problem import (
    Problem,
    Proposal,
    parameters_of,
    point_of,
    trial_seed,
)
from mergesearch.study.samplers.sobol import sobol

FIRST_STEP = 0.25
"""Standard deviation of the first generation, in widths of a range."""


def cmaes(problem: Problem, history: Sequence[Observation], number: int) -> Proposal:
    """CMA-ES around the best of the starts; a choice is rounded from a range of its own."""
    from cmaes import CMA

    n_starts = max(len(problem.starts), 1)
    if number < n_starts:
        return sobol(problem, history, number)
    choices = np.array([len(dimension.choices) for dimension in problem.dimensions])
    width = np.where(choices > 0, np.maximum(choices - 1, 1), 1)
    points = [point_of(problem.dimensions, trial.parameters) / width for trial in history]
    losses = [_loss(problem, trial) for trial in history]
    first = int(np.argmin(losses[:n_starts]))
    dimensions = len(problem.dimensions)
    search = CMA(
        mean=points[first],
        sigma=FIRST_STEP,
        bounds=np.tile([0.0, 1.0], (max(dimensions, 1), 1)),
        seed=trial_seed(problem.seed, 2**31 + 1),
    )
    told = list(zip(points[n_starts:], losses[n_starts:], strict=True))
    size = search.population_size
    for start in range(0, len(told) - size + 1, size):
        for _ in range(size):
            search.ask()
        search.tell(told[start : start + size])
    for _ in range(len(told) % size):
        search.ask()
    point = np.clip(search.ask(), 0.0, 1.0) * width
    return Proposal(parameters_of(problem.dimensions, point), {})


def _loss(problem: Problem, trial: Observation) -> float:
    """What is minimized; infinitely bad where a trial has no values."""
    if trial.state is not State.COMPLETE:
        return 1e9
    above = np.subtract(trial.values, problem.reference)
    return -sum((signs_of(problem.directions) * above).tolist())
