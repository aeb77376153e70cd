"""What the trials of a run gave on the search items, and what these tell of every trial."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from itertools import chain

import threadpoolctl  # type: ignore[import-untyped]

from mergesearch.objectives import ItemResult, Objective, Score
from mergesearch.study.estimation.estimates import Estimates, estimate

Seen = Mapping[str, Mapping[int, int]]
"""How many trials were scored on each item, by task and item."""


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
