"""What proposes the next recipe: samplers by name, each a pure function of the study's history.

Every trial gets a fresh sampler, seeded from (seed, trial number) and fed a copy of the finished
trials in memory. So a proposal depends on nothing but its arguments, and a resumed study proposes
what an unbroken one would have.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import optuna
import threadpoolctl  # type: ignore[import-untyped]
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.trial import FrozenTrial, TrialState

from mergesearch.errors import InputError

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
        distributions: of every dimension, in the space's order.
        directions: `maximize` or `minimize`, one an objective.
        starts: parameters of the first trials; the sampler fills in what they leave out.
        seed: of the study.
    """

    distributions: Mapping[str, BaseDistribution]
    directions: Sequence[str]
    starts: Sequence[Mapping[str, Any]]
    seed: int


@dataclass(frozen=True)
class Proposal:
    """A trial's parameters, with the notes that the sampler itself keeps about it."""

    parameters: Parameters
    notes: Mapping[str, Any]


Sampler = Callable[[Problem, Sequence[FrozenTrial], int], Proposal]

_NOTES = ("NSGAIISampler:generation",)  # which generation a trial belongs to


def distributions(dimensions: Sequence[Dimension]) -> dict[str, BaseDistribution]:
    """Return Optuna's distribution of each dimension, by name and in order."""
    return {
        one.name: CategoricalDistribution(tuple(one.choices))
        if one.choices
        else FloatDistribution(one.low, one.high)
        for one in dimensions
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


def propose(name: str, problem: Problem, history: Sequence[FrozenTrial], number: int) -> Proposal:
    """Return what sampler `name` proposes for trial `number`, given all trials before it.

    Trials that still run (see `lagged`) count as such for the samplers that can allow for them.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # experimental features, chosen knowingly
        return SAMPLERS[name](problem, history, number)


def lagged(history: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Return a history whose last trial still runs, whatever has become of it since."""
    return [*history[:-1], *map(_running, history[-1:])]


def _running(trial: FrozenTrial) -> FrozenTrial:
    return optuna.trial.create_trial(
        state=TrialState.RUNNING,
        params=trial.params,
        distributions=trial.distributions,
        system_attrs=_notes(trial.system_attrs),
    )


def _notes(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {key: attributes[key] for key in _NOTES if key in attributes}


def trial_seed(seed: int, number: int) -> int:
    """Return the 32-bit seed of one trial's sampler."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])


def sobol_point(problem: Problem, number: int) -> Parameters:
    """Return the point of the scrambled Sobol sequence for trial `number`.

    The sequence begins after the starts; the study's seed scrambles it.
    """
    from scipy.stats import qmc

    open_ended = [name for name, one in problem.distributions.items() if not one.single()]
    position = max(0, number - len(problem.starts))
    unit = np.zeros(0)
    if open_ended:
        engine = qmc.Sobol(len(open_ended), scramble=True, rng=trial_seed(problem.seed, 2**31))
        if position:
            engine.fast_forward(position)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # balance needs powers of 2
            unit = engine.random(1)[0]
    places = dict(zip(open_ended, unit, strict=True))
    return {name: _at(one, places.get(name, 0.0)) for name, one in problem.distributions.items()}


def _at(distribution: BaseDistribution, place: float) -> Any:
    """The value at `place` in [0, 1) of a dimension."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[int(place * len(distribution.choices))]
    assert isinstance(distribution, FloatDistribution)
    return min(
        distribution.low + float(place) * (distribution.high - distribution.low), distribution.high
    )


def _sobol(problem: Problem, history: Sequence[FrozenTrial], number: int) -> Proposal:
    start = problem.starts[number] if number < len(problem.starts) else {}
    return Proposal(sobol_point(problem, number) | dict(start), {})


def _after_startup(sample: Sampler) -> Sampler:
    """A sampler with a model: until there is enough to fit it to, Sobol points fill the space."""

    def sample_or_fill(problem: Problem, history: Sequence[FrozenTrial], number: int) -> Proposal:
        if number < len(problem.starts) or _complete(history) < STARTUP:
            return _sobol(problem, history, number)
        return sample(problem, history, number)

    return sample_or_fill


def _complete(history: Sequence[FrozenTrial]) -> int:
    return sum(one.state == TrialState.COMPLETE for one in history)


def _nsga2(problem: Problem, history: Sequence[FrozenTrial], number: int) -> Proposal:
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
    history: Sequence[FrozenTrial],
    fixed: Mapping[str, Any],
) -> Proposal:
    """Ask a sampler in a copy of the study in memory; `fixed` parameters are taken as they are."""
    study = optuna.create_study(directions=list(problem.directions), sampler=sampler)
    study.add_trials(history)
    if fixed:
        study.enqueue_trial(dict(fixed))
    trial = study.ask()
    _ = trial.relative_params  # read also where all is fixed: a generation counts its members
    for name, one in problem.distributions.items():
        if isinstance(one, CategoricalDistribution):
            trial.suggest_categorical(name, one.choices)
        else:
            assert isinstance(one, FloatDistribution)
            trial.suggest_float(name, one.low, one.high)
    notes = _notes(study.get_trials(deepcopy=False)[-1].system_attrs)
    return Proposal(dict(trial.params), notes)


def _failures_as_worst(problem: Problem, history: Sequence[FrozenTrial]) -> Sequence[FrozenTrial]:
    """Return the history with failed trials as complete ones of the worst values so far.

    A model that never hears of failures proposes the same point again, for the rest of the night.
    """
    values = [one.values for one in history if one.state == TrialState.COMPLETE]
    worst = [
        (min if direction == "maximize" else max)(column)
        for direction, column in zip(problem.directions, zip(*values, strict=True), strict=True)
    ]
    return [
        optuna.trial.create_trial(params=one.params, distributions=one.distributions, values=worst)
        if one.state == TrialState.FAIL
        else one
        for one in history
    ]


def _gp(problem: Problem, history: Sequence[FrozenTrial], number: int) -> Proposal:
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


def _tpe(problem: Problem, history: Sequence[FrozenTrial], number: int) -> Proposal:
    """Tree-structured Parzen estimators over all dimensions together.

    A trial that still runs counts as a bad one, so that the next goes elsewhere.
    """
    sampler = optuna.samplers.TPESampler(
        seed=trial_seed(problem.seed, number),
        multivariate=True,
        n_startup_trials=STARTUP,
        constant_liar=any(one.state == TrialState.RUNNING for one in history),
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
