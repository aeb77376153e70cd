"""Trials of another run as observations that fade.

They count as if they were this run's, moved by the mean difference of what both have measured. Each
is doubted more, and fewer of them are left, with every own trial that is complete; after `FADE` of
those nothing is left of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mergesearch.study.pareto import Floats
from mergesearch.study.records import Observation, State
from mergesearch.study.samplers.problem import n_complete

FADE = 40
"""Own complete trials after which the other run's data count no more."""
DOUBT = 0.25
"""Standard deviation that another run's value is doubted by at first, in spreads of its values."""


def with_prior(prior: Sequence[Observation], history: Sequence[Observation]) -> list[Observation]:
    """Return a history with what is left of another run's trials before it.

    Args:
        prior: Trials of the other run, the most informative ones first.
        history: Observations of the own trials.
    """
    faded = n_complete(history) / FADE
    left = prior[: math.ceil(len(prior) * max(0.0, 1.0 - faded))]
    if not left:
        return list(history)
    own = [trial for trial in history if trial.state is State.COMPLETE]
    values = np.array([trial.values for trial in left])
    moved = values + _difference(left, own)
    doubt = (DOUBT + faded) * np.std([trial.values for trial in prior], axis=0)
    errors = np.hypot([trial.standard_errors for trial in left], doubt)
    observations = [
        replace(trial, values=tuple(row.tolist()), standard_errors=tuple(error.tolist()))
        for trial, row, error in zip(left, moved, errors, strict=True)
    ]
    if own and all(len(trial.errors) for trial in own):
        return _with_joint_errors(observations, history)
    return [*observations, *history]


def _difference(prior: Sequence[Observation], own: Sequence[Observation]) -> Floats | float:
    """By how much own values are above those of the other run, where both tried the same."""
    pairs = [
        np.subtract(trial.values, other.values)
        for trial in own
        for other in prior
        if dict(trial.parameters) == dict(other.parameters)
    ]
    if pairs:
        return np.asarray(np.mean(pairs, axis=0))
    if not own:
        return 0.0
    means = [np.mean([trial.values for trial in trials], axis=0) for trials in (own, prior)]
    return np.asarray(means[0] - means[1])


def _with_joint_errors(
    prior: Sequence[Observation], history: Sequence[Observation]
) -> list[Observation]:
    """Observations whose errors are vectors: those of the prior are independent of all others."""
    places = np.eye(len(prior))
    size = next(len(trial.errors[0]) for trial in history if len(trial.errors))
    ours = [
        replace(trial, errors=[np.r_[error, np.zeros(len(prior))] for error in trial.errors])
        for trial in history
    ]
    theirs = [
        replace(
            trial, errors=[np.r_[np.zeros(size), error * place] for error in trial.standard_errors]
        )
        for trial, place in zip(prior, places, strict=True)
    ]
    return [*theirs, *ours]
