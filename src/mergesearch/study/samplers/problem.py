"""What a sampler is asked: a problem, what is known of the trials before, and a trial's number."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mergesearch.space import Dimension
from mergesearch.study.pareto import Floats
from mergesearch.study.records import Observation, State

Parameters = dict[str, Any]

STARTUP = 10
"""Complete trials that a model of the objectives needs before it proposes."""


@dataclass(frozen=True)
class Problem:
    """What stays the same over a study.

    Attributes:
        dimensions: Dimensions of the space, in its order.
        directions: `maximize` or `minimize`, one an objective.
        starts: Parameters of the first trials; the sampler fills in what they leave out.
        seed: Seed of the study.
        reference: Coordinates of the hypervolume's reference point.
        prior: Trials of another run, the most informative ones first; see `prior`.
        relevance: Function that gives how much each dimension is thought to matter, by its name; 1
            where left out.
    """

    dimensions: Sequence[Dimension]
    directions: Sequence[str]
    starts: Sequence[Mapping[str, Any]]
    seed: int
    reference: Sequence[float]
    prior: Sequence[Observation] = ()
    relevance: Callable[[], Mapping[str, float]] = dict


@dataclass(frozen=True)
class Proposal:
    """A trial's parameters, with the notes that the sampler itself keeps about it."""

    parameters: Parameters
    notes: Mapping[str, Any]


Sampler = Callable[[Problem, Sequence[Observation], int], Proposal]


def lagged(history: Sequence[Observation]) -> list[Observation]:
    """Return a history whose last trial still runs, whatever has become of it since."""
    return [*history[:-1], *map(running, history[-1:])]


def running(trial: Observation) -> Observation:
    """Return a trial as it was while it ran."""
    return replace(trial, state=State.RUNNING, values=(), standard_errors=(), errors=())


def trial_seed(seed: int, number: int) -> int:
    """Return the 32-bit seed of one trial's sampler."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])


def n_complete(history: Sequence[Observation]) -> int:
    """Return the number of complete trials."""
    return sum(trial.state is State.COMPLETE for trial in history)


def point_of(dimensions: Sequence[Dimension], parameters: Mapping[str, Any]) -> Floats:
    """Return parameters as a point (dimensions,): a place in [0, 1] of each range, or an index."""
    return np.array([_place(dimension, parameters[dimension.name]) for dimension in dimensions])


def parameters_of(dimensions: Sequence[Dimension], point: Floats) -> Parameters:
    """Return the parameters that a point (dimensions,) is."""
    return {
        dimension.name: _value(dimension, float(place))
        for dimension, place in zip(dimensions, point, strict=True)
    }


def _place(dimension: Dimension, value: Any) -> float:
    if dimension.choices:
        return float(list(dimension.choices).index(value))
    width = dimension.high - dimension.low
    return (float(value) - dimension.low) / width if width else 0.0


def _value(dimension: Dimension, place: float) -> Any:
    if dimension.choices:
        return dimension.choices[round(place)]
    value = dimension.low + place * (dimension.high - dimension.low)
    return min(max(value, dimension.low), dimension.high)
