"""Racing: a candidate is scored on growing parts of the items for as long as it may matter."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mergesearch.objectives import ItemResult, Items, Objectives, Score
from mergesearch.study.estimation.estimates import Estimates
from mergesearch.study.pareto import signs_of
from mergesearch.study.parts import PARTS, next_items, trial_sizes
from mergesearch.study.records import RaceRecord
from mergesearch.study.scored import ScoredItems

THRESHOLD = 0.5
"""Least chance of adding to the front with which a candidate goes on."""
CHECKED = 0.1
"""Share of trials that are scored on all parts whatever their chance, to know how often stopping
would have been wrong."""
DRAWS = 1000


class Race:
    """The race of one trial.

    Args:
        order: Search items of each task in their fixed order.
        scored: Results of the trials before.
        is_start: Whether the trial is one that the space names to come first; it is never stopped.
    """

    def __init__(
        self,
        objectives: Objectives,
        order: Items,
        scored: ScoredItems,
        trial: int,
        seed: int,
        *,
        is_start: bool,
    ) -> None:
        self._objectives = objectives
        self._order = order
        self._scored = scored
        self._trial = trial
        self._seed = seed
        self._is_start = is_start
        self._chance: float | None = None
        self._stopped = False
        self.items: list[ItemResult] = []
        self.parts = 0

    def take(self, items: Sequence[ItemResult]) -> None:
        """Take in what the candidate gave on the part that `next_part` returned."""
        self.items += items
        self.parts += 1

    def next_part(self) -> Items | None:
        """Return the items that the candidate is scored on next, None where it stops."""
        if self.parts >= PARTS:
            return None
        self._stopped = self.parts > 0 and not self._goes_on()
        if self._stopped:
            return None
        own: dict[str, list[int]] = {}
        for item in self.items:
            own.setdefault(item.task, []).append(item.item)
        rng = np.random.default_rng([self._seed, self._trial, self.parts])
        sizes = trial_sizes(self._objectives)
        items = next_items(self._order, sizes, self._scored.seen(), own, rng)
        return items if any(items.values()) else None

    def scores(self) -> dict[str, Score]:
        """Return what all trials together tell of this one."""
        return self._with_trial().scores(self._trial)

    def record(self) -> RaceRecord:
        """Return what is recorded of the race."""
        tokens = sum(item.tokens_in + item.tokens_out for item in self.items)
        return RaceRecord(self.parts, tokens, self._chance, self._is_checked, self._stopped)

    @property
    def _is_checked(self) -> bool:
        return not self._is_start and always_scored(self._seed, self._trial)

    def _goes_on(self) -> bool:
        if self._is_start:
            return True
        directions = [objective.direction for objective in self._objectives.objectives]
        rng = np.random.default_rng([self._seed, self._trial, 13])
        estimates = self._with_trial().estimates()
        self._chance = chance_to_add(estimates, self._trial, directions, rng)
        return self._chance >= THRESHOLD or self._is_checked

    def _with_trial(self) -> ScoredItems:
        return self._scored.with_trial(self._trial, self.items)


def chance_to_add(
    estimates: Estimates, trial: int, directions: Sequence[str], rng: np.random.Generator
) -> float:
    """Return the chance that no other trial dominates `trial`, from draws of the joint truth."""
    gains = estimates.draws(DRAWS, rng) * signs_of(directions)
    row = estimates.rows[trial]
    others = np.delete(gains, row, axis=1)
    dominated = np.any(np.all(others >= gains[:, row, None], axis=2), axis=1)
    return float(1.0 - dominated.mean())


def always_scored(seed: int, trial: int) -> bool:
    """Return whether racing never stops a trial; decided before it is scored."""
    return bool(np.random.default_rng([seed, trial, 12]).random() < CHECKED)
