"""Racing: a candidate is scored on growing parts of the search items for as long as it may matter.

Items that no other trial has seen compare a candidate with nothing, and items that all have seen
are learnt by heart. So the items in use grow with what has been scored: each is seen by about
`REPEATS` trials before others come in.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from mergesearch.objectives import ItemResult, Items, Objectives, Rung, Score
from mergesearch.study.estimation.estimates import Estimates, ScoredItems, Seen
from mergesearch.study.pareto import signs_of
from mergesearch.study.records import RaceRecord, State, TrialRecord

BLOCK = 20
"""Items of a task that are always scored together."""
REPEATS = 12
"""Trials that an item is scored on, about, before the items in use are more."""

PARTS = 2
"""Parts that a trial is scored on at most, each as large as the first."""
THRESHOLD = 0.5
"""Least chance of adding to the front with which a candidate goes on."""
CHECKED = 0.1
"""Share of trials that are scored on all parts whatever their chance, to know how often stopping
would have been wrong."""
DRAWS = 1000


def trial_sizes(objectives: Objectives) -> dict[str, int]:
    """Return how many items of each task a trial is scored on at first."""
    return {use.task: use.trial_items or use.search_items for use in objectives.tasks()}


def most_items(objectives: Objectives) -> int:
    """Return how many items a trial is scored on at most."""
    sizes = trial_sizes(objectives)
    return sum(min(PARTS * sizes[use.task], use.search_items) for use in objectives.tasks())


def next_items(
    order: Items, sizes: Mapping[str, int], seen: Seen, own: Items, rng: np.random.Generator
) -> dict[str, list[int]]:
    """Return the next items that a trial is scored on, those that fewest trials have seen.

    Args:
        order: All items of each task in their fixed order.
        sizes: Number of items to return of each task; fewer where fewer are left.
        seen: Number of trials that were scored on each item.
        own: Items that the trial itself was scored on.
        rng: Generator that decides between blocks that equally many have seen.
    """
    return {
        task: _of_task(order[task], size, seen.get(task, {}), frozenset(own.get(task, ())), rng)
        for task, size in sizes.items()
    }


def _of_task(
    order: Sequence[int],
    size: int,
    seen: Mapping[int, int],
    own: frozenset[int],
    rng: np.random.Generator,
) -> list[int]:
    in_use = max(2 * size, sum(seen.values()) // REPEATS)
    blocks = [list(order[start : start + BLOCK]) for start in range(0, len(order), BLOCK)]
    chances = rng.random(len(blocks))

    def rank(index: int) -> tuple[bool, float, float]:
        items = blocks[index]
        trials = sum(seen.get(item, 0) for item in items) / len(items)
        return index * BLOCK >= in_use, round(trials), float(chances[index])

    free = [index for index, items in enumerate(blocks) if own.isdisjoint(items)]
    chosen = [item for index in sorted(free, key=rank) for item in blocks[index]]
    return chosen[:size]


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


@dataclass(frozen=True)
class Racing:
    """What it brought to score trials on growing parts of the search items.

    Attributes:
        stopped: Number of trials that were stopped before the last part.
        tokens: Number of tokens that all trials took.
        tokens_saved: Number of tokens, about, that the parts left out would have taken.
        seconds_saved: Seconds of scoring, about, that these would have taken.
        checked: Number of trials that would have been stopped, but had been drawn beforehand to be
            scored on all parts.
        wrong: Number of those that are members of the front of the search nevertheless.
    """

    stopped: int
    tokens: int
    tokens_saved: int
    seconds_saved: float
    checked: int
    wrong: int

    @classmethod
    def of(cls, trials: Sequence[TrialRecord], members: Collection[int]) -> Self | None:
        """Return what racing brought to a run, None where its trials are scored on all items.

        Args:
            members: Numbers of the members of its front.
        """
        raced = [
            (trial, trial.race)
            for trial in trials
            if trial.state is State.COMPLETE and trial.race is not None
        ]
        if not raced:
            return None
        stopped = [(trial, race) for trial, race in raced if race.stopped]
        checked = [
            trial
            for trial, race in raced
            if race.checked and race.chance is not None and race.chance < THRESHOLD
        ]
        seconds = [
            trial.rungs[Rung.SEARCH].score_seconds * _left_out(race) for trial, race in stopped
        ]
        return cls(
            stopped=len(stopped),
            tokens=sum(race.tokens for _, race in raced),
            tokens_saved=round(sum(race.tokens * _left_out(race) for _, race in stopped)),
            seconds_saved=sum(seconds),
            checked=len(checked),
            wrong=sum(trial.number in members for trial in checked),
        )


def _left_out(race: RaceRecord) -> float:
    """How much of what a trial took it would have taken in addition."""
    return PARTS / race.parts - 1
