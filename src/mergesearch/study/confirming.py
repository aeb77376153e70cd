"""Confirming a front: which trials may belong to it, and what is known of them in the end.

A trial that looks best was also lucky. Its value is therefore not the mean of its items but what
the Gaussian process makes of it and of its neighbours (a posterior mean, drawn towards what similar
candidates reached), and the results on the validate items, which took no part in the choice, are
added to that by their precision.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from mergesearch.objectives import Items, Objectives, Score, part_of, scores_to_dict
from mergesearch.study.estimation.estimates import Estimates
from mergesearch.study.pareto import (
    Floats,
    best_fronts,
    hypervolume,
    knee,
    non_dominated,
    not_dominated,
    sign_of,
    signs_of,
)
from mergesearch.study.racing import trial_sizes
from mergesearch.study.records import Axis, Observation

SMALLEST_VARIANCE = 1e-12
CONTENDERS = 200
"""Number of trials that are looked at, the best ones."""
DRAWS = 2000
UNLIKELY = 0.05
"""Chance of membership below which a trial is out of the question."""
SMALLEST_SHARE = 0.5
"""Items that finalists are scored on at least, on average, as a share of a trial's first part: of
many finalists with few items more is left of the front than of few with many."""
CLEARLY = 0.25
"""Standard errors of a difference by which a member is better than any other in something. With
less it is dominated as likely as not, and by much where it is worse in the rest."""
Z95 = 1.96
"""Half the width of a 95 % interval, in standard errors."""


def contenders(
    searched: Mapping[int, Observation], axes: Sequence[Axis], most: int = CONTENDERS
) -> dict[int, Observation]:
    """Return the trials that may turn out to be members: the front, that of the others, and so on.

    Args:
        searched: What the search items tell of each trial, by number.
        axes: Objectives in the order of the values.
        most: Number of trials after which no further front is taken in.
    """
    values = [trial.values for trial in searched.values()]
    rows = best_fronts(values, [axis.direction for axis in axes], most)
    numbers = list(searched)
    return {numbers[row]: searched[numbers[row]] for row in rows}


def chances_of_membership(
    estimates: Estimates, directions: Sequence[str], rng: np.random.Generator
) -> Floats:
    """Return the chance of each trial that no other of them dominates it, (trials,)."""
    gains = estimates.draws(DRAWS, rng) * signs_of(directions)
    return np.asarray(sum(map(not_dominated, gains)) / len(gains))


def finalists(
    chances: Floats, trials: Sequence[int], most: int, always: Sequence[int] = ()
) -> list[int]:
    """Return the trials that may belong to the front, the likeliest first.

    Args:
        chances: Chance of membership of each trial.
        most: Number of trials that may belong to the front at most.
        always: Trials that are finalists whatever their chance, after the others.
    """
    order = np.argsort(-chances, kind="stable")
    likely = [trials[row] for row in order if chances[row] >= 2 * UNLIKELY][:most]
    return [*likely, *(trial for trial in always if trial not in likely)]


def finalists_parts(
    prior: Estimates,
    objectives: Objectives,
    order: Items,
    budget: float,
    seed: int,
    parents: Sequence[int] = (),
) -> dict[int, Items]:
    """Return the validate items that each finalist is scored on, the likeliest member first.

    All are scored on the beginning of the same order, so that they are compared item by item.

    Args:
        prior: What the search knows of the complete trials.
        order: Validate items of each task in their fixed order.
        budget: Number of item scores that the confirmation takes.
        parents: Trials that are a parent alone, which every member is compared with in the end.
    """
    directions = [objective.direction for objective in objectives.objectives]
    chances = chances_of_membership(prior, directions, np.random.default_rng([seed, 15]))
    fewest = SMALLEST_SHARE * sum(trial_sizes(objectives).values())
    most = max(2, round(budget / fewest))
    chosen = finalists(chances, prior.trials, most, parents)
    shares = budget_shares(chances[[prior.rows[trial] for trial in chosen]])
    n_items = sum(len(items) for items in order.values())
    return {
        trial: part_of(order, 0.0, min(1.0, max(budget * share / n_items, 2 / n_items)))
        for trial, share in zip(chosen, shares, strict=True)
    }


def budget_shares(chances: Floats) -> Floats:
    """Return what share of the budget each finalist gets, (finalists,): most where doubt is most.

    A finalist of which everything is clear gets a fifth of what an even chance gets.
    """
    weights = 0.25 + 4 * chances * (1 - chances)
    return np.asarray(weights / weights.sum())


def combined(prior: Estimates, confirmed: Estimates) -> Estimates:
    """Return what is known of the confirmed trials from the search and the confirmation together.

    Both errors are normal and independent: the items of the two are disjoint.

    Args:
        prior: What the search tells, shrunk; of more trials, perhaps.
        confirmed: What the validate items tell.
    """
    before = prior.of(confirmed.trials)
    values = np.empty_like(confirmed.values)
    covariances = np.empty_like(confirmed.covariances)
    for objective, (doubt, error) in enumerate(
        zip(before.covariances, confirmed.covariances, strict=True)
    ):
        both = doubt + error + SMALLEST_VARIANCE * np.eye(len(error))
        gain = np.linalg.solve(both, doubt).T
        change = confirmed.values[:, objective] - before.values[:, objective]
        values[:, objective] = before.values[:, objective] + gain @ change
        left = doubt - gain @ doubt
        covariances[objective] = (left + left.T) / 2
    return Estimates(confirmed.trials, values, covariances)


def supported(estimates: Estimates, chances: Floats, directions: Sequence[str]) -> list[int]:
    """Return the finalists that no other dominates, or nearly does, by its estimates.

    The best one in an objective always stays.

    Args:
        estimates: What is known of the finalists.
        chances: Chance of membership of each finalist, in the order of the estimates.
        directions: `maximize` or `minimize`, one an objective.
    """
    gains = estimates.values * signs_of(directions)
    rows = non_dominated(estimates.values, directions)
    ends = {max(rows, key=lambda row: gains[row, column]) for column in range(gains.shape[1])}
    kept: list[int] = []
    for row in sorted(rows, key=lambda row: -chances[row]):
        clear = [
            (gains[row] - gains[other] > CLEARLY * _errors(estimates, row, other)).any()
            for other in kept
        ]
        if row in ends or all(clear):
            kept.append(row)
    return [estimates.trials[row] for row in sorted(kept)]


def grouped(
    estimates: Estimates, members: Sequence[int], chances: Floats
) -> dict[int, tuple[int, ...]]:
    """Return the members that are shown, each with its twins, which cannot be told apart from it.

    Of such members the one is shown that likeliest belongs to the front; the 95 % intervals of its
    differences from the twins hold 0 in every objective.

    Args:
        estimates: What is known of the finalists.
        members: Numbers of those that no other dominates by its estimates.
        chances: Chance of membership of each finalist, in the order of the estimates.
    """
    left = sorted(members, key=lambda trial: (-chances[estimates.rows[trial]], trial))
    shown: dict[int, tuple[int, ...]] = {}
    while left:
        first, *others = left
        shown[first] = tuple(trial for trial in others if _alike(estimates, first, trial))
        left = [trial for trial in others if trial not in shown[first]]
    return shown


def _alike(estimates: Estimates, first: int, second: int) -> bool:
    """Whether the difference of two trials may be 0 in every objective."""
    rows = estimates.rows[first], estimates.rows[second]
    difference = estimates.values[rows[0]] - estimates.values[rows[1]]
    return bool((np.abs(difference) <= Z95 * _errors(estimates, *rows)).all())


def _errors(estimates: Estimates, first: int, second: int) -> Floats:
    """Standard errors of the difference of two rows, (objectives,)."""
    covariances = estimates.covariances
    variances = (
        covariances[:, first, first]
        + covariances[:, second, second]
        - 2 * covariances[:, first, second]
    )
    return np.asarray(np.sqrt(np.maximum(variances, 0.0)))


@dataclass(frozen=True)
class ConfirmedMember:
    """A member of the confirmed front.

    Attributes:
        trial: Number of the trial.
        values: Objectives as search and confirmation together tell them, shrunk for having been
            picked; `n` counts the validate items.
        chance: Chance that no other finalist dominates it.
        twins: Numbers of the trials that cannot be told apart from it and that it stands for.
    """

    trial: int
    values: Mapping[str, Score]
    chance: float
    twins: tuple[int, ...]

    def facts(self) -> dict[str, Any]:
        """Return what `front.json` adds to a member."""
        values = scores_to_dict(self.values)
        return {"confirmed": values, "chance": self.chance, "twins": list(self.twins)}


@dataclass(frozen=True)
class ConfirmedFront:
    """The front of the finalists.

    Attributes:
        members: Members, the best in the first objective first.
        dropped: Numbers of finalists that others dominate, or nearly.
        hypervolume: Hypervolume of the members' values above the reference point.
        knee: Number of the trial at the knee.
    """

    members: tuple[ConfirmedMember, ...]
    dropped: tuple[int, ...]
    hypervolume: float
    knee: int

    @classmethod
    def of(
        cls,
        axes: Sequence[Axis],
        estimates: Estimates,
        validated: Mapping[int, Mapping[str, Score]],
        seed: int,
    ) -> Self:
        """Return the front of finalists.

        Args:
            axes: Objectives in the order of the file.
            estimates: What is known of the finalists from search and confirmation together.
            validated: Scores of the finalists on the validate items, by trial.
            seed: Seed of the draws that the chances are counted on.
        """
        directions = [axis.direction for axis in axes]
        chances = chances_of_membership(estimates, directions, np.random.default_rng([seed, 14]))
        members = supported(estimates, chances, directions)
        twins = grouped(estimates, members, chances)
        rows = estimates.rows
        sign = sign_of(directions[0])
        shown = sorted(twins, key=lambda trial: -sign * estimates.values[rows[trial], 0])
        values = estimates.of(shown).values
        return cls(
            members=tuple(
                ConfirmedMember(
                    trial,
                    _scores(axes, estimates, trial, validated[trial]),
                    float(chances[rows[trial]]),
                    twins[trial],
                )
                for trial in shown
            ),
            dropped=tuple(sorted(set(estimates.trials) - set(members))),
            hypervolume=hypervolume(values, [axis.reference for axis in axes], directions),
            knee=shown[knee(values, directions)],
        )

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Self:
        """Return the front that `to_dict` wrote."""
        members = tuple(
            ConfirmedMember(
                member["trial"],
                {name: Score(**score) for name, score in member["confirmed"].items()},
                member["chance"],
                tuple(member["twins"]),
            )
            for member in document["members"]
        )
        return cls(members, tuple(document["dropped"]), document["hypervolume"], document["knee"])

    def to_dict(self) -> dict[str, Any]:
        """Return the document that `from_dict` reads back."""
        return {
            "members": [{"trial": member.trial, **member.facts()} for member in self.members],
            "dropped": list(self.dropped),
            "hypervolume": self.hypervolume,
            "knee": self.knee,
        }


def _scores(
    axes: Sequence[Axis], estimates: Estimates, trial: int, validated: Mapping[str, Score]
) -> dict[str, Score]:
    """Estimates of a trial that count the validate items."""
    row = estimates.rows[trial]
    return {
        axis.name: replace(validated[axis.name], value=float(value), stderr=float(error))
        for axis, value, error in zip(
            axes, estimates.values[row], estimates.errors[row], strict=True
        )
    }
