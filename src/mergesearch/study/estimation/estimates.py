"""The objectives of a run's trials, estimated jointly from the items that each was scored on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

import numpy as np
import threadpoolctl  # type: ignore[import-untyped]

from mergesearch.objectives import ItemResult, Objective, Score, TaskUse
from mergesearch.study.estimation.means import Means, estimate_means
from mergesearch.study.pareto import Floats

Results = Mapping[int, Iterable[ItemResult]]
Seen = Mapping[str, Mapping[int, int]]
"""How many trials were scored on each item, by task and item."""


@dataclass(frozen=True)
class Estimates:
    """Objectives of some trials with their joint errors; errors of two objectives are independent.

    Attributes:
        trials: Numbers of the trials, ascending.
        values: Value of each objective, (trials, objectives).
        covariances: Covariance of the values' errors, (objectives, trials, trials).
    """

    trials: tuple[int, ...]
    values: Floats
    covariances: Floats

    @cached_property
    def rows(self) -> Mapping[int, int]:
        """Row of each trial by its number."""
        return {trial: row for row, trial in enumerate(self.trials)}

    @cached_property
    def errors(self) -> Floats:
        """Standard error of each value, (trials, objectives)."""
        return np.sqrt(np.diagonal(self.covariances, axis1=1, axis2=2)).T

    def of(self, trials: Sequence[int]) -> Estimates:
        """Return the estimates of some of the trials, in that order."""
        rows = [self.rows[trial] for trial in trials]
        covariances = self.covariances[:, rows][:, :, rows]
        return Estimates(tuple(trials), self.values[rows], covariances)

    @cached_property
    def roots(self) -> Floats:
        """A root of each covariance, (objectives, trials, trials).

        The covariance of two trials' errors is the product of their rows.
        """
        sizes, vectors = np.linalg.eigh(self.covariances)
        roots: Floats = vectors * np.sqrt(np.maximum(sizes, 0.0))[:, None, :]
        return roots

    def draws(self, count: int, rng: np.random.Generator) -> Floats:
        """Return what the true values may be, (draws, trials, objectives)."""
        columns = [
            value + rng.standard_normal((count, len(value))) @ root.T
            for value, root in zip(self.values.T, self.roots, strict=True)
        ]
        return np.stack(columns, axis=-1)


class ScoredItems:
    """Item results of trials on one rung; they never change.

    Args:
        results: Item results by the trial's number.
    """

    def __init__(
        self, objectives: Sequence[Objective], results: Mapping[int, Iterable[ItemResult]]
    ) -> None:
        self._objectives = objectives
        self._results = {trial: tuple(items) for trial, items in results.items()}
        self._estimates: Estimates | None = None
        self._latest: ScoredItems | None = None  # these with one more trial

    def __len__(self) -> int:
        return sum(len(items) for items in self._results.values())

    def __contains__(self, trial: int) -> bool:
        return trial in self._results

    def with_trial(self, trial: int, items: Iterable[ItemResult]) -> ScoredItems:
        """Return these results with those of one more trial; the same again for the same."""
        results = {**self._results, trial: tuple(items)}
        if self._latest is None or self._latest._results != results:
            self._latest = ScoredItems(self._objectives, results)
        return self._latest

    def without(self, trials: Container[int]) -> ScoredItems:
        """Return these results without those of some trials."""
        others = {number: items for number, items in self._results.items() if number not in trials}
        return self if len(others) == len(self._results) else ScoredItems(self._objectives, others)

    def seen(self) -> Seen:
        """Return how many trials were scored on each item."""
        seen: dict[str, Counter[int]] = {}
        for item in chain.from_iterable(self._results.values()):
            seen.setdefault(item.task, Counter())[item.item] += 1
        return seen

    def estimates(self) -> Estimates:
        """Return the joint estimates of all trials that have results; computed once."""
        if self._estimates is None:
            # Matrices of a few hundred rows: more threads would cost several times what one does.
            with threadpoolctl.threadpool_limits(1):
                self._estimates = estimate(self._objectives, self._results)
        return self._estimates

    def scores(self, trial: int) -> dict[str, Score]:
        """Return what all results together tell of a trial's objectives."""
        estimates, found = self.estimates(), {}
        row = estimates.rows[trial]
        for column, objective in enumerate(self._objectives):
            tasks = {use.task for use in objective.uses}
            own = [item for item in self._results[trial] if item.task in tasks]
            unscored = sum(item.unscored is not None for item in own)
            found[objective.name] = Score(
                float(estimates.values[row, column]),
                float(estimates.errors[row, column]),
                len(own) - unscored,
                unscored,
            )
        return found


def estimate(objectives: Sequence[Objective], results: Results) -> Estimates:
    """Estimate every objective of every trial from item results of one rung.

    Args:
        objectives: Objectives in the order of the columns.
        results: Item results of each trial that has any, by its number.
    """
    if not results:
        n = len(objectives)
        return Estimates((), np.zeros((0, n)), np.zeros((n, 0, 0)))
    trials = tuple(sorted(results))
    by_trial = [list(results[trial]) for trial in trials]
    columns = [_objective(objective, by_trial) for objective in objectives]
    return Estimates(
        trials,
        np.column_stack([column.values for column in columns]),
        np.stack([column.covariance for column in columns]),
    )


def independent(scores: Mapping[int, Mapping[str, Score]], objectives: Sequence[str]) -> Estimates:
    """Return scores of trials, by trial and objective, as estimates whose errors are independent.

    Args:
        scores: Scores of each trial by objective.
        objectives: Names of the objectives in the order of the columns.
    """
    trials = tuple(sorted(scores))
    values = [[scores[trial][name].value for name in objectives] for trial in trials]
    errors = [[scores[trial][name].stderr for trial in trials] for name in objectives]
    covariances = [np.diag(np.square(column)) for column in errors]
    return Estimates(trials, np.array(values), np.stack(covariances))


def _objective(objective: Objective, by_trial: Sequence[Sequence[ItemResult]]) -> Means:
    """The weighted mean of an objective's metrics, each as (value - chance) / (1 - chance)."""
    total = sum(use.weight for use in objective.uses)
    values = np.zeros(len(by_trial))
    covariance = np.zeros((len(by_trial), len(by_trial)))
    for use in objective.uses:
        means = estimate_means(_table(use, by_trial))
        chance = use.chance or 0.0
        share = use.weight / total / (1 - chance)
        values += share * (means.values - chance)
        covariance += share**2 * means.covariance
    return Means(values, covariance)


def _table(use: TaskUse, by_trial: Sequence[Sequence[ItemResult]]) -> Floats:
    """Results of a metric, (trials, items) over the items that any trial was scored on."""
    scored = [
        {
            result.item: result.metrics[use.metric]
            for result in results
            if result.task == use.task and use.metric in result.metrics
        }
        for results in by_trial
    ]
    items = sorted({item for found in scored for item in found})
    return np.array([[found.get(item, np.nan) for item in items] for found in scored])
