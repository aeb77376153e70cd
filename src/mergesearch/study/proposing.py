"""Proposing the next trial: a pure function of what is on record about those before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mergesearch.errors import MergeSearchError
from mergesearch.recipe import Recipe
from mergesearch.study.estimation.estimates import Estimates
from mergesearch.study.records import Observation, RunRecord, State
from mergesearch.study.samplers import propose
from mergesearch.study.samplers.noisy import shrunk_estimates
from mergesearch.study.samplers.problem import Problem, Proposal
from mergesearch.study.settings import Search


class Proposer:
    """Proposes the trials of a run."""

    def __init__(self, search: Search, run: RunRecord) -> None:
        self._space = search.space
        self._sampler = run.sampler
        warm = search.warm_start
        starts: list[Mapping[str, Any]] = [*search.space.starts()]
        starts += [start for start in (warm.starts if warm else ()) if start not in starts]
        self._problem = Problem(
            dimensions=search.space.dimensions,
            directions=[axis.direction for axis in run.axes],
            starts=starts,
            seed=run.seed,
            reference=[axis.reference for axis in run.axes],
            prior=warm.trials if warm else (),
            relevance=search.relevance,
        )
        self._latest: tuple[tuple[int, int], Proposal] | None = None  # by what was known

    def propose(self, history: Sequence[Observation]) -> Proposal:
        """Return the proposal for the trial after a history, computed once."""
        number = len(history)
        known = number, sum(trial.state is State.RUNNING for trial in history)
        if self._latest is None or self._latest[0] != known:
            self._latest = known, propose(self._sampler, self._problem, history, number)
        return self._latest[1]

    def recipe(self, parameters: Mapping[str, Any]) -> tuple[Recipe | None, str | None]:
        """Return the recipe that parameters give, or the reason why they give none."""
        try:
            return self._space.recipe(parameters), None
        except MergeSearchError as error:
            return None, str(error)

    def shrunk(self, trials: Mapping[int, Observation]) -> Estimates:
        """Return the objectives of complete trials, by number, shrunk for having been picked."""
        return shrunk_estimates(self._problem, trials)

    def starts(self, number: int) -> bool:
        """Whether a trial is one of those that the space names to come first."""
        return number < len(self._problem.starts)
