"""Optuna's samplers: a fresh one for every trial, in a copy of the study in memory."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import optuna
import threadpoolctl  # type: ignore[import-untyped]
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.trial import FrozenTrial, TrialState

from mergesearch.space import Dimension
from mergesearch.study.records import Observation, State
from mergesearch.study.samplers.problem import STARTUP, Problem, Proposal, n_complete, trial_seed
from mergesearch.study.samplers.sobol import sobol

POPULATION = 20
"""Trials of one generation of NSGA-II or NSGA-III."""
_NOTES = ("NSGAIISampler:generation", "NSGAIIISampler:generation")  # notes about a trial
OPTUNA_STATES = {
    State.RUNNING: TrialState.RUNNING,
    State.COMPLETE: TrialState.COMPLETE,
    State.FAILED: TrialState.FAIL,
}
"""Optuna's name of each state."""


def distributions(dimensions: Sequence[Dimension]) -> dict[str, BaseDistribution]:
    """Return Optuna's distribution of each dimension, by name and in order."""
    return {
        dimension.name: CategoricalDistribution(tuple(dimension.choices))
        if dimension.choices
        else FloatDistribution(dimension.low, dimension.high)
        for dimension in dimensions
    }


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Optuna from announcing studies and experimental features; then it speaks as before."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(before)


def by_generations(
    kind: Callable[..., optuna.samplers.BaseSampler],
    problem: Problem,
    history: Sequence[Observation],
    number: int,
) -> Proposal:
    """NSGA-II or, for more than two objectives, NSGA-III: starts and Sobol points come first.

    Args:
        kind: Optuna's sampler.
    """
    sampler = kind(population_size=POPULATION, seed=trial_seed(problem.seed, number))
    fixed: Mapping[str, Any] = {}
    if number < len(problem.starts) or n_complete(history) < POPULATION:
        fixed = sobol(problem, history, number).parameters
    return _ask(sampler, problem, history, fixed)


def random(problem: Problem, history: Sequence[Observation], number: int) -> Proposal:
    """Independent uniform draws, after the starts."""
    sampler = optuna.samplers.RandomSampler(seed=trial_seed(problem.seed, number))
    start = problem.starts[number] if number < len(problem.starts) else {}
    return _ask(sampler, problem, [], start)


def _ask(
    sampler: optuna.samplers.BaseSampler,
    problem: Problem,
    history: Sequence[Observation],
    fixed: Mapping[str, Any],
) -> Proposal:
    """Ask a sampler in a copy of the study in memory; `fixed` parameters are taken as they are."""
    with quiet():
        study = optuna.create_study(directions=list(problem.directions), sampler=sampler)
    ranges = distributions(problem.dimensions)
    study.add_trials([_frozen(trial, ranges) for trial in history])
    if fixed:
        study.enqueue_trial(dict(fixed))
    trial = study.ask()
    _ = trial.relative_params  # read also where all is fixed: a generation counts its members
    for dimension in problem.dimensions:
        if dimension.choices:
            trial.suggest_categorical(dimension.name, tuple(dimension.choices))
        else:
            trial.suggest_float(dimension.name, dimension.low, dimension.high)
    notes = study.get_trials(deepcopy=False)[-1].system_attrs
    return Proposal(dict(trial.params), {key: notes[key] for key in _NOTES if key in notes})


def _frozen(trial: Observation, ranges: Mapping[str, BaseDistribution]) -> FrozenTrial:
    """An observation as Optuna's samplers take it."""
    return optuna.trial.create_trial(
        state=OPTUNA_STATES[trial.state],
        params=dict(trial.parameters),
        distributions=dict(ranges),
        values=trial.values or None,
        system_attrs={key: trial.notes[key] for key in _NOTES if key in trial.notes},
    )


def _failures_as_worst(problem: Problem, history: Sequence[Observation]) -> list[Observation]:
    """Return the history with failed trials as complete ones of the worst values so far.

    A model that never hears of failures proposes the same point again, for the rest of the night.
    """
    values = [trial.values for trial in history if trial.state is State.COMPLETE]
    worst = tuple(
        (min if direction == "maximize" else max)(column)
        for direction, column in zip(problem.directions, zip(*values, strict=True), strict=True)
    )
    return [
        replace(trial, state=State.COMPLETE, values=worst, notes={})
        if trial.state is State.FAILED
        else trial
        for trial in history
    ]


def optuna_gp(problem: Problem, history: Sequence[Observation], number: int) -> Proposal:
    """Gaussian processes with one noise for all trials; expected hypervolume improvement.

    Its linear algebra is on matrices of at most a few hundred rows: threads of OpenBLAS and OpenMP
    would cost seven times what they do alone.
    """
    import torch  # noqa: F401  (its thread pool must be there to be limited)

    sampler = optuna.samplers.GPSampler(
        seed=trial_seed(problem.seed, number),
        deterministic_objective=False,
        warn_independent_sampling=False,
    )
    with threadpoolctl.threadpool_limits(1):
        return _ask(sampler, problem, _failures_as_worst(problem, history), {})


def tpe(problem: Problem, history: Sequence[Observation], number: int) -> Proposal:
    """Tree-structured Parzen estimators over all dimensions together.

    A trial that still runs counts as a bad one, so that the next goes elsewhere.
    """
    sampler = optuna.samplers.TPESampler(
        seed=trial_seed(problem.seed, number),
        multivariate=True,
        n_startup_trials=STARTUP,
        constant_liar=any(trial.state is State.RUNNING for trial in history),
        warn_independent_sampling=False,
    )
    return _ask(sampler, problem, _failures_as_worst(problem, history), {})
