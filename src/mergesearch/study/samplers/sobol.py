"""Points that fill a space evenly, after the starts; what models begin with and fall back on."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from mergesearch.space import Dimension
from mergesearch.study.records import Observation
from mergesearch.study.samplers.prior import with_prior
from mergesearch.study.samplers.problem import (
    STARTUP,
    Parameters,
    Problem,
    Proposal,
    Sampler,
    n_complete,
    trial_seed,
)


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


def sobol(problem: Problem, history: Sequence[Observation], number: int) -> Proposal:
    """The space's starts, then the scrambled Sobol sequence."""
    start = problem.starts[number] if number < len(problem.starts) else {}
    return Proposal(sobol_point(problem, number) | dict(start), {})


def after_startup(sample: Sampler) -> Sampler:
    """A sampler with a model: until there is enough to fit it to, Sobol points fill the space.

    What is left of another run's trials counts.
    """

    def sample_or_fill(problem: Problem, history: Sequence[Observation], number: int) -> Proposal:
        known = with_prior(problem.prior, history)
        if number < len(problem.starts) or n_complete(known) < STARTUP:
            return sobol(problem, history, number)
        return sample(problem, known, number)

    return sample_or_fill
