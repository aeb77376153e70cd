"""Factor analysis of a table of item results, candidates by items, most of it not scored.

Every item is one draw of a vector, a result for each candidate:

    y_i = mean + L z_i + e_i,    z_i ~ N(0, I),    e_i ~ N(0, diag(psi))

Candidates of one search agree on most items, so a few factors carry what they have in common. The
loadings of a candidate with few results are drawn towards the mean loadings (a normal prior), so
that they are never fitted to noise. Maximum a posteriori by expectation maximization: Rubin and
Thayer, "EM algorithms for ML factor analysis" (1982), over the results there are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mergesearch.study.pareto import Floats

RANK = 4
ITERATIONS = 25
LOOSENESS = 0.15
"""Standard deviation of a loading around the candidates' mean, in standard deviations of a result.
"""
SMALLEST_SHARE = 0.02
"""Least share of a result's variance that is a candidate's own."""


@dataclass(frozen=True)
class Factors:
    """What candidates have in common.

    Attributes:
        mean: Expected result of each candidate, (candidates,).
        loadings: Loadings of each candidate on the factors, (candidates, rank).
        own: Variance of each candidate's results that no factor explains, (candidates,).
    """

    mean: Floats
    loadings: Floats
    own: Floats

    def covariance(self) -> Floats:
        """Covariance of two candidates' results on one item, (candidates, candidates)."""
        covariance: Floats = self.loadings @ self.loadings.T + np.diag(self.own)
        return covariance


def fit_factors(results: Floats) -> Factors:
    """Fit the factors of `results` (candidates, items), NaN where an item was not scored.

    Every candidate needs a result.
    """
    scored = ~np.isnan(results)
    filled = np.where(scored, results, 0.0)
    counts = scored.sum(axis=1)
    mean = _additive_means(filled, scored)
    residuals = np.where(scored, results - mean[:, None], 0.0)
    pooled = float((residuals**2).sum() / counts.sum())
    if pooled == 0.0 or len(results) < 2:
        return Factors(mean, np.zeros((len(results), 1)), np.full(len(results), max(pooled, 1e-12)))
    rank = max(1, min(RANK, len(results) // 3))
    loadings = _first_loadings(residuals, rank)
    own = np.full(len(results), pooled / 2)
    precision = np.eye(rank) / (LOOSENESS**2 * pooled)
    weights = scored.astype(np.float64)
    for _ in range(ITERATIONS):
        factors, moments = _expected(filled, weights, mean, loadings, own)
        mean, loadings, own = _fitted(
            filled, weights, factors, moments, loadings.mean(axis=0), own, precision, pooled
        )
    # A mean and a loading on each factor were fitted to a candidate's results.
    degrees = counts / np.maximum(counts - rank - 1, 1)
    return Factors(mean, loadings, own * degrees)


def _additive_means(filled: Floats, scored: NDArray[np.bool_]) -> Floats:
    """Means of the candidates where an item is equally harder or easier for all of them."""
    weights = scored.astype(np.float64)
    by_candidate, by_item = weights.sum(axis=1), np.maximum(weights.sum(axis=0), 1)
    items = np.zeros(filled.shape[1])
    for _ in range(20):
        mean = (filled.sum(axis=1) - weights @ items) / by_candidate
        items = (filled.sum(axis=0) - mean @ weights) / by_item
        items -= items.mean()
    return np.asarray(mean)


def _first_loadings(residuals: Floats, rank: int) -> Floats:
    """The first principal components of the candidates."""
    sizes, vectors = np.linalg.eigh(residuals @ residuals.T / residuals.shape[1])
    start: Floats = vectors[:, ::-1][:, :rank] * np.sqrt(np.maximum(sizes[::-1][:rank], 0.0))
    return start


def _expected(
    filled: Floats, weights: Floats, mean: Floats, loadings: Floats, own: Floats
) -> tuple[Floats, Floats]:
    """Means (items, rank) and second moments (items, rank, rank) of the items' factors.

    Args:
        filled: Results (candidates, items), 0 where there is none.
        weights: 1 where there is a result, else 0, (candidates, items).
        mean: Expected result of each candidate.
        loadings: Loadings of each candidate.
        own: Variance that is each candidate's own.
    """
    rank = loadings.shape[1]
    scaled = loadings / own[:, None]
    products = (loadings[:, :, None] * scaled[:, None, :]).reshape(len(loadings), -1)
    precision = np.eye(rank) + (weights.T @ products).reshape(-1, rank, rank)
    covariance = np.linalg.inv(precision)
    pull = filled.T @ scaled - weights.T @ (mean[:, None] * scaled)
    factors = np.einsum("irs,is->ir", covariance, pull)
    return factors, covariance + factors[:, :, None] * factors[:, None, :]


def _fitted(
    filled: Floats,
    weights: Floats,
    factors: Floats,
    moments: Floats,
    centre: Floats,
    own: Floats,
    precision: Floats,
    pooled: float,
) -> tuple[Floats, Floats, Floats]:
    """Mean, loadings and own variances that fit the items' expected factors best."""
    n, rank = len(filled), factors.shape[1]
    counts = weights.sum(axis=1)
    design = np.empty((n, rank + 1, rank + 1))
    design[:, 0, 0] = counts
    design[:, 0, 1:] = design[:, 1:, 0] = weights @ factors
    design[:, 1:, 1:] = (weights @ moments.reshape(len(factors), -1)).reshape(n, rank, rank)
    target = np.column_stack([filled.sum(axis=1), filled @ factors])
    penalized = design.copy()
    penalized[:, 1:, 1:] += own[:, None, None] * precision
    pull = target.copy()
    pull[:, 1:] += own[:, None] * (precision @ centre)
    solution = np.linalg.solve(penalized, pull[:, :, None])[:, :, 0]
    squares = np.einsum("ni,ni->n", filled, filled)
    explained = 2 * (solution * target).sum(axis=1)
    fitted = np.einsum("na,nab,nb->n", solution, design, solution)
    spread = squares - explained + fitted
    # Four more results of half the pooled variance keep a few lucky ones from looking exact.
    unexplained = (spread + 4 * pooled / 2) / (counts + 4)
    return solution[:, 0], solution[:, 1:], np.maximum(unexplained, SMALLEST_SHARE * pooled)
