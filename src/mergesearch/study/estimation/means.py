"""The mean result of every candidate over all items, told from the items that were scored."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mergesearch.study.estimation.factors import fit_factors
from mergesearch.study.pareto import Floats


@dataclass(frozen=True)
class Means:
    """Means of several candidates with their joint error.

    Attributes:
        values: Mean result of each candidate, (candidates,).
        covariance: Covariance of the errors of the values, (candidates, candidates).
    """

    values: Floats
    covariance: Floats

    @property
    def errors(self) -> Floats:
        """Standard error of each value, (candidates,)."""
        errors: Floats = np.sqrt(np.diag(self.covariance))
        return errors


def estimate_means(results: Floats, pool: int | None = None) -> Means:
    """Estimate the mean of each candidate from `results` (candidates, items), NaN: not scored.

    Generalized least squares: an item tells the candidates that were scored on it with the inverse
    of the covariance that their results have, so a candidate with few results is judged by how it
    differs, on these, from candidates whose means are known better (a control variate). Items count
    as drawn at random.

    Args:
        results: Results of the items, at least one for each candidate.
        pool: Number of items whose mean is asked for, the scored ones among them; None: all items
            there could be.
    """
    spread = fit_factors(results).covariance()
    information = np.zeros_like(spread)
    pull = np.zeros(len(results))
    for scored, sums, count in _patterns(results):
        precision = np.linalg.inv(spread[np.ix_(scored, scored)])
        information[np.ix_(scored, scored)] += count * precision
        pull[scored] += precision @ sums
    covariance: Floats = np.linalg.inv(information).astype(np.float64)
    values = covariance @ pull
    if pool is not None:  # the pool's own mean deviates by spread / pool, which is not an error
        covariance = covariance - spread / pool
    return Means(values, covariance)


def _patterns(results: Floats) -> list[tuple[NDArray[np.intp], Floats, int]]:
    """Items by the candidates that were scored on them: candidates, sums of results, items."""
    scored = ~np.isnan(results)
    by_mask: dict[bytes, list[int]] = {}
    for item, mask in enumerate(np.packbits(scored, axis=0).T):
        by_mask.setdefault(mask.tobytes(), []).append(item)
    found = []
    for items in map(np.array, by_mask.values()):
        candidates = np.flatnonzero(scored[:, items[0]])
        if len(candidates):
            found.append((candidates, results[np.ix_(candidates, items)].sum(axis=1), len(items)))
    return found
