"""What proposes the next recipe: samplers by name, each a pure function of the study's history.

Every trial gets a fresh sampler, seeded from (seed, trial number) and fed a copy of the finished
trials in memory. So a proposal depends on nothing but its arguments, and a resumed study proposes
what an unbroken one would have.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import optuna
import threadpoolctl  # type: ignore[import-untyped]
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.trial import FrozenTrial, TrialState

from mergesearch.errors import InputError
from mergesearch.study.records import State

Parameters = dict[str, Any]

STARTUP = 10
"""Complete trials that a model of the objectives needs before it proposes."""

POPULATION = 20
"""Trials of one NSGA-II generation."""

SMALL_SPACE = 20
"""Dimensions up to which the Gaussian process is the default."""


class Dimension(Protocol):
    """What a sampler needs to know of a dimension: a range, or choices where there are any."""

    @property
    def name(self) -> str:
        """The parameter's name."""

    @property
    def low(self) -> float:
        """Lower end of the range."""

    @property
    def high(self) -> float:
        """Upper end of the range."""

    @property
    def choices(self) -> Sequence[Any]:
        """The choices, empty for a range."""


@dataclass(frozen=True)
class Problem:
    """What stays the same over a study.

    Attributes:
        dimensions: Dimensions of the space, in its order.
        directions: `maximize` or `minimize`, one an objective.
        starts: Parameters of the first trials; the sampler fills in what they leave out.
        seed: Seed of the study.
    """

    dimensions: Sequence[Dimension]
    directions: Sequence[str]
    starts: Sequence[Mapping[str, Any]]
    seed: int


@dataclass(frozen=True)
class Observation:
    """What a sampler knows of a trial.

    Attributes:
        parameters: Value of each dimension.
        state: What has become of the trial.
        values: Value of each objective; empty unless it is complete.
        standard_errors: Standard error of each value.
        notes: Notes that the sampler itself made when it proposed the trial.
    """

    parameters: Mapping[str, Any]
    state: State = State.COMPLETE
    values: tuple[float, ...] = ()
    standard_errors: tuple[float, ...] = ()
    notes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Proposal:
    """A trial's parameters, with the notes that the sampler itself keeps about it."""

    parameters: Parameters
    notes: Mapping[str, Any]


Sampler = Callable[[Problem, Sequence[Observation], int], Proposal]

_NOTES = ("NSGAIISampler:generation",)  # which generation a trial belongs to
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


def default_sampler(n_dimensions: int) -> str:
    """Return the name of the sampler for a space of this size."""
    return "gp" if n_dimensions <= SMALL_SPACE else "tpe"


def check_sampler(name: str) -> str:
    """Return `name` where it is a sampler's.

    Raises:
        InputError: it is not.
    """
    if name not in SAMPLERS:
        raise InputError(
            f"unknown sampler {name!r}", where="--sampler", expected=", ".join(SAMPLERS)
        )
    return name


def propose(name: str, problem: Problem, history: Sequence[Observation], number: int) -> Proposal:
    """Return what sampler `name` proposes for trial `number`, given all trials before it.

    Trials that still run (see `lagged`) count as such for the samplers that can allow for them.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # experimental features, chosen knowingly
        return SAMPLERS[name](problem, history, number)


def lagged(history: Sequence[Observation]) -> list[Observation]:
    """Return a history whose last trial still runs, whatever has become of it since."""
    return [*history[:-1], *map(running, history[-1:])]


def running(trial: Observation) -> Observation:
    """Return a trial as it was while it ran."""
    return replace(trial, state=State.RUNNING, values=(), standard_errors=())


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Optuna from announcing every study that is made; then it says what it did before."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


def trial_seed(seed: int, number: int) -> int:
    """Return the 32-bit seed of one trial's sampler."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])


def sobol_point(problem: Problem, number: int) -> Parameters:
    """Return the point of the scrambled Sobol sequence for trial `number`.

    The sequence begins after the starts; the study's seed scrambles it.
    """
    from scipy.stats import qmc

    varied = [dimension.name for dimension in problem.dimensions if not _single(dimension)]
    position = max(0, number - len(problem.starts))
    unit = np.zeros(0)
    if varied:
        engine = qmc.Sobol(len(varied), scramble=True, rng=trial_seed(problem.seed, 2**31))
        if position:
            engine.fast_forward(position)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # balance needs powers of 2
            unit = engine.random(1)[0]
    places = dict(zip(varied, unit, strict=True))
    return {
        dimension.name: _at(dimension, places.get(dimension.name, 0.0))
        for dimension in problem.dimensions
    }


def _single(dimension: Dimension) -> bool:
    """Whether a dimension has one value only."""
    return len(dimension.choices) == 1 if dimension.choices else dimension.low == dimension.high


def _at(dimension: Dimension, place: float) -> Any:
    """The value at `place` in [0, 1) of a dimension."""
    if dimension.choices:
        return dimension.choices[int(place * len(dimension.choices))]
    return min(dimension.low + float(place) * (dimension.high - dimension.low), dimension.high)


def _sobol(problem: Problem, history: Sequence[Observation], number: int) -> Proposal:
    start = problem.starts[number] if number < len(problem.starts) else {}
    return Proposal(sobol_point(problem, number) | dict(start), {})


def _after_startup(sample: Sampler) -> Sampler:
    """A sampler with a model: until there is enough to fit it to, Sobol points fill the space."""

    def sample_or_fill(problem: Problem, history: Sequence[Observation], number: int) -> Proposal:
        if number < len(problem.starts) or _complete(history) < STARTUP:
            return _sobol(problem, history, number)
        return sample(problem, history, number)

    return sample_or_fill


def _complete(history: Sequence[Observation]) -> int:
    return sum(trial.state is State.COMPLETE for trial in history)


def _nsga2(problem: Problem, history: Sequence[Observation], number: int) -> Proposal:
    """NSGA-II; the starts and Sobol points are its first generation."""
    sampler = optuna.samplers.NSGAIISampler(
        population_size=POPULATION, seed=trial_seed(problem.seed, number)
    )
    fixed: Mapping[str, Any] = {}
    if number < len(problem.starts) or _complete(history) < POPULATION:
        fixed = _sobol(problem, history, number).parameters
    return _ask(sampler, problem, history, fixed)


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


def _gp(problem: Problem, history: Sequence[Observation], number: int) -> Proposal:
    """Gaussian processes, one an objective, with noise; expected hypervolume improvement.

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


def _tpe(problem: Problem, history: Sequence[Observation], number: int) -> Proposal:
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


SAMPLERS: Mapping[str, Sampler] = {
    "gp": _after_startup(_gp),
    "tpe": _after_startup(_tpe),
    "nsga2": _nsga2,
    "sobol": _sobol,
}
"""Samplers by name."""
