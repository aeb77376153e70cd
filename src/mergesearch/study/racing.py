"""Racing: a candidate is scored on growing parts of the items for as long as it may matter."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mergesearch.study.estimation.estimates import Estimates

PARTS = (0.25, 0.5, 1.0)
"""Growing shares of a candidate's search items."""
THRESHOLD = 0.1
"""Least chance of adding to the front with which a candidate goes on."""
CHECKED = 0.1
"""Share of trials that are scored on all parts whatever their chance, to know how often stopping
is wrong."""
DRAWS = 1000


def chance_to_add(
    estimates: Estimates, trial: int, directions: Sequence[str], rng: np.random.Generator
) -> float:
    """Return the chance that no other trial dominates `trial`, from draws of the joint truth."""
    signs = np.array([1.0 if direction == "maximize" else -1.0 for direction in directions])
    gains = estimates.draws(DRAWS, rng) * signs
    row = estimates.rows[trial]
    others = np.delete(gains, row, axis=1)
    dominated = (others >= gains[:, row, None]).all(axis=2).any(axis=1)
    return float(1.0 - dominated.mean())


def always_scored(seed: int, trial: int) -> bool:
    """Return whether racing never stops a trial; decided before it is scored."""
    return bool(np.random.default_rng([seed, trial, 12]).random() < CHECKED)
