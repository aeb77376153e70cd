"""Confirming a front: which trials may belong to it, and what is known of them in the end.

A trial that looks best was also lucky. Its value is therefore not the mean of its items but what
the Gaussian process makes of it and of its neighbours (a posterior mean, drawn towards what similar
candidates reached), and the results on the validate items, which took no part in the choice, are
added to that by their precision.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mergesearch.study.estimation.estimates import Estimates
from mergesearch.study.estimation.factors import Floats

DRAWS = 2000
UNLIKELY = 0.05
"""Chance of membership below which a trial is out of the question."""
Z95 = 1.96
"""Half the width of a 95 % interval, in standard errors."""


def signs_of(directions: Sequence[str]) -> Floats:
    """Return 1 for each objective that is maximized, -1 for each that is minimized."""
    return np.array([1.0 if direction == "maximize" else -1.0 for direction in directions])


def chances_of_membership(
    estimates: Estimates, directions: Sequence[str], rng: np.random.Generator
) -> Floats:
    """Return the chance of each trial that no other of them dominates it, (trials,)."""
    gains = estimates.draws(DRAWS, rng) * signs_of(directions)
    members = np.zeros(gains.shape[1])
    for draw in gains:
        better = (draw[:, None] >= draw).all(axis=-1) & (draw[:, None] > draw).any(axis=-1)
        members += ~better.any(axis=0)
    return members / len(gains)


def finalists(chances: Floats, trials: Sequence[int], most: int) -> list[int]:
    """Return the trials that may belong to the front, the likeliest first, at most `most`."""
    order = np.argsort(-chances, kind="stable")
    likely = [trials[row] for row in order if chances[row] >= 2 * UNLIKELY]
    return likely[:most]


def in_doubt(chances: Floats, trials: Sequence[int]) -> list[int]:
    """Return the trials of which it is not clear whether they belong to the front."""
    return [
        trial
        for trial, chance in zip(trials, chances, strict=True)
        if UNLIKELY < chance < 1 - UNLIKELY
    ]


def combined(prior: Estimates, confirmed: Estimates) -> Estimates:
    """Return what is known of the confirmed trials from the search and the confirmation together.

    Both errors are normal and independent: the items of the two are disjoint.
    """
    before = prior.of(confirmed.trials)
    values = np.empty_like(confirmed.values)
    covariances = np.empty_like(confirmed.covariances)
    for objective, (doubt, error) in enumerate(
        zip(before.covariances, confirmed.covariances, strict=True)
    ):
        gain = np.linalg.solve(doubt + error, doubt).T
        change = confirmed.values[:, objective] - before.values[:, objective]
        values[:, objective] = before.values[:, objective] + gain @ change
        left = doubt - gain @ doubt
        covariances[objective] = (left + left.T) / 2
    return Estimates(confirmed.trials, values, covariances)


@dataclass(frozen=True)
class Group:
    """A member of the confirmed front with those that cannot be told apart from it.

    Attributes:
        trial: Number of the trial that is shown.
        chance: Chance that no other finalist dominates it.
        twins: Numbers of the trials whose 95 % interval of the difference holds 0 in every
            objective, and that are less likely to belong to the front.
    """

    trial: int
    chance: float
    twins: tuple[int, ...]


def grouped(estimates: Estimates, members: Sequence[int], chances: Floats) -> list[Group]:
    """Group members that cannot be told apart under the one that likeliest belongs to the front.

    Args:
        estimates: What is known of the finalists.
        members: Numbers of those that no other dominates by its estimates.
        chances: Chance of membership of each finalist, in the order of the estimates.
    """
    left = sorted(members, key=lambda trial: (-chances[estimates.rows[trial]], trial))
    groups = []
    while left:
        shown, *others = left
        twins = [trial for trial in others if _alike(estimates, shown, trial)]
        groups.append(Group(shown, float(chances[estimates.rows[shown]]), tuple(twins)))
        left = [trial for trial in others if trial not in twins]
    return groups


def _alike(estimates: Estimates, first: int, second: int) -> bool:
    """Whether the difference of two trials may be 0 in every objective."""
    rows = [estimates.rows[first], estimates.rows[second]]
    difference = np.subtract(*estimates.values[rows])
    variance = np.array(
        [
            np.array([1.0, -1.0]) @ covariance[np.ix_(rows, rows)] @ np.array([1.0, -1.0])
            for covariance in estimates.covariances
        ]
    )
    return bool((np.abs(difference) <= Z95 * np.sqrt(np.maximum(variance, 0.0))).all())
