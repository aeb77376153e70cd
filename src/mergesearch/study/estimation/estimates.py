"""The objectives of a run's trials, estimated jointly from the items that each was scored on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mergesearch.objectives import ItemResult, Objective, Score, TaskUse
from mergesearch.study.estimation.means import Means, estimate_means
from mergesearch.study.pareto import Floats

Results = Mapping[int, Iterable[ItemResult]]


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

    def roots(self) -> Floats:
        """Return a root of each covariance, (objectives, trials, trials).

        The covariance of two trials' errors is the product of their rows.
        """
        sizes, vectors = np.linalg.eigh(self.covariances)
        roots: Floats = vectors * np.sqrt(np.maximum(sizes, 0.0))[:, None, :]
        return roots

    def draws(self, count: int, rng: np.random.Generator) -> Floats:
        """Return what the true values may be, (draws, trials, objectives)."""
        columns = [
            value + rng.standard_normal((count, len(value))) @ root.T
            for value, root in zip(self.values.T, self.roots(), strict=True)
        ]
        return np.stack(columns, axis=-1)


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
