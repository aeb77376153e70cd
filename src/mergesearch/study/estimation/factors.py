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

Floats = NDArray[np.float64]

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


def fit_factors(results: Floats, rank: int = RANK, iterations: int = ITERATIONS) -> Factors:
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
    rank = max(1, min(rank, len(results) // 3))
    loadings = _first_loadings(residuals, rank)
    own = np.full(len(results), pooled / 2)
    precision = np.eye(rank) / (LOOSENESS**2 * pooled)
    weights = scored.astype(np.float64)
    for _ in range(iterations):
        factors, moments = _expected(filled, weights, mean, loadings, own)
        mean, loadings, own = _fitted(
            filled, weights, factors, moments, loadings.mean(axis=0), own, precision, pooled
        )
    # A mean and a loading on each factor were fitted to a candidate's results.
    degrees = counts / np.maximum(counts - rank - 1, 1)
    return Factors(mean, loadings, own * degrees)


def _additive_means(filled: Floats, scored: NDArray[np.bool_], iterations: int = 20) -> Floats:
    """Means of the candidates where an item is equally harder or easier for all of them."""
    items = np.zeros(filled.shape[1])
    for _ in range(iterations):
        mean = (filled - items * scored).sum(axis=1) / scored.sum(axis=1)
        items = (filled - mean[:, None] * scored).sum(axis=0) / np.maximum(scored.sum(axis=0), 1)
        items -= items.mean()
    return np.asarray(mean)


def _first_loadings(residuals: Floats, rank: int) -> Floats:
    left, sizes, _ = np.linalg.svd(residuals, full_matrices=False)
    start: Floats = left[:, :rank] * sizes[:rank] / np.sqrt(residuals.shape[1])
    return start


def _expected(
    filled: Floats, weights: Floats, mean: Floats, loadings: Floats, own: Floats
) -> tuple[Floats, Floats]:
    """Means (items, rank) and second moments (items, rank, rank) of the items' factors."""
    rank = loadings.shape[1]
    products = (loadings[:, :, None] * loadings[:, None, :]).reshape(len(loadings), -1)
    precision = np.eye(rank) + ((weights.T / own) @ products).reshape(-1, rank, rank)
    covariance = np.linalg.inv(precision)
    pull = (weights * (filled - mean[:, None])).T / own @ loadings
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
    target = np.column_stack([(weights * filled).sum(axis=1), (weights * filled) @ factors])
    penalized = design.copy()
    penalized[:, 1:, 1:] += own[:, None, None] * precision
    pull = target.copy()
    pull[:, 1:] += own[:, None] * (precision @ centre)
    solution = np.linalg.solve(penalized, pull[:, :, None])[:, :, 0]
    squares = (weights * filled**2).sum(axis=1)
    explained = 2 * (solution * target).sum(axis=1)
    fitted = np.einsum("na,nab,nb->n", solution, design, solution)
    spread = squares - explained + fitted
    # One item's worth of the pooled variance keeps few lucky results from looking exact.
    unexplained = (spread + 4 * pooled / 2) / (counts + 4)
    return solution[:, 0], solution[:, 1:], np.maximum(unexplained, SMALLEST_SHARE * pooled)
