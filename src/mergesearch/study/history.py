"""The history of a study as its search looks at it: all trials, and the complete ones by digest."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from mergesearch.study.trials import Trials


class History:
    """The trials of a study; `update` takes in what has happened since.

    Attributes:
        trials: Every trial, by number.
        values: Values of each complete trial, as Optuna was told them.
    """

    def __init__(self, trials: Trials) -> None:
        self.trials: list[FrozenTrial] = []
        self.values: list[list[float]] = []
        self._source = trials
        self._unfinished: list[int] = []
        self._by_recipe: dict[str, FrozenTrial] = {}
        self._by_candidate: dict[str, FrozenTrial] = {}
        self._distributions: dict[str, BaseDistribution] = {}
        self.update()

    def update(self) -> list[FrozenTrial]:
        """Read the trials that have started or finished since; return those that finished."""
        known = len(self.trials)
        self.trials = self._source.all()
        open_trials = self.unfinished() + self.trials[known:]
        news = [trial for trial in open_trials if trial.state.is_finished()]
        self._unfinished = [trial.number for trial in open_trials if not trial.state.is_finished()]
        for trial in news:
            self._compact(trial)
            if trial.state == TrialState.COMPLETE:
                self._take(trial)
        return news

    @property
    def n_finished(self) -> int:
        """Number of complete and failed trials."""
        return len(self.trials) - len(self._unfinished)

    def unfinished(self) -> list[FrozenTrial]:
        """Return the trials that had started and not finished at the last update."""
        return [self.trials[number] for number in self._unfinished]

    def with_recipe(self, digest: str) -> FrozenTrial | None:
        """Return the complete trial that measured the recipe of this digest, None for no such."""
        return self._by_recipe.get(digest)

    def with_candidate(self, digest: str) -> FrozenTrial | None:
        """Return the complete trial that measured the GGUF of this digest, None for no such."""
        return self._by_candidate.get(digest)

    def _compact(self, trial: FrozenTrial) -> None:
        """Keep once what is equal in all trials, which Optuna reads anew: names, distributions."""
        if trial.distributions == self._distributions:
            trial.distributions = self._distributions
        self._distributions = trial.distributions
        trial.params = _interned(trial.params)
        trial.user_attrs = _interned(trial.user_attrs)

    def _take(self, trial: FrozenTrial) -> None:
        self.values.append(trial.values)
        if "reused_from" not in trial.user_attrs:
            self._by_recipe[trial.user_attrs["recipe_digest"]] = trial
            self._by_candidate[trial.user_attrs["digest"]] = trial


def _interned(values: Mapping[str, Any]) -> dict[str, Any]:
    return {sys.intern(name): value for name, value in values.items()}
