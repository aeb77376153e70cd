"""The end of a run: its front is confirmed on items that the search never saw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest

from mergesearch.objectives import Items, Rung
from mergesearch.recipe import Recipe
from mergesearch.study.confirming import ConfirmedFront, combined, contenders, finalists_parts
from mergesearch.study.estimation.estimates import Estimates, ScoredItems, independent
from mergesearch.study.events import Validated, ValidationStarted
from mergesearch.study.measuring import Measuring, Step
from mergesearch.study.records import TrialRecord


@dataclass(frozen=True)
class Validating(Step):
    """Confirms the front of a run.

    Attributes:
        measuring: Measuring of the candidates.
        share: Share of all item scores that confirms the front where trials are scored on parts.
    """

    measuring: Measuring
    share: float

    def run(self, reason: str) -> None:
        """Score finalists on validate items and record the front that these confirm.

        Those that could not be scored at an earlier end of the run are tried again.

        Args:
            reason: Why no further trial is started.
        """
        searched = self.recorder.searched()
        if not searched:
            return
        with self.guard.interruptible():
            trials = self.recorder.trials()
            alone = [trial.number for trial in trials if trial.parent is not None]
            parents = [trial for trial in alone if trial in searched]
            likely = contenders(searched, self.recorder.run().axes)
            known = sorted({*likely, *parents})
            prior = self.proposer.shrunk({trial: searched[trial] for trial in known})
            parts = self._parts(prior, parents)
        todo = [trial for trial in parts if not trials[trial].scores(Rung.VALIDATE)]
        self.observe(ValidationStarted(reason, tuple(todo)))
        self._score([trials[trial] for trial in todo], parts)
        self._conclude(prior)

    def _parts(self, prior: Estimates, parents: Sequence[int]) -> dict[int, Items | None]:
        """The validate items that each finalist is scored on by trial, None for all."""
        objectives = self.search.objectives
        if not objectives.scores_parts:
            return dict.fromkeys(member.trial for member in self.recorder.front().members)
        budget = len(self.recorder.scored) * self.share / (1 - self.share)
        order = self.search.order()[Rung.VALIDATE]
        seed = self.recorder.run().seed
        return {**finalists_parts(prior, objectives, order, budget, seed, parents)}

    def _score(self, members: Sequence[TrialRecord], parts: dict[int, Items | None]) -> None:
        """Score the finalists that have no scores yet, each by the worker that takes it first."""
        tried: set[int] = set()
        while True:
            for member, following in zip_longest(members, members[1:]):
                if member.number not in tried and self._takes(member.number):
                    tried.add(member.number)
                    self._confirm(member, following, parts[member.number])
            if not self.recorder.worker.others_confirm():
                return
            self.recorder.worker.pause()  # what a lost one leaves is taken in the next round

    def _takes(self, trial: int) -> bool:
        """Take a finalist, unless another worker has scored it or does so now."""
        worker = self.recorder.worker
        if not worker.may_confirm(trial):
            return False
        if self.recorder.is_validated(trial):
            worker.end_confirming(trial)
            return False
        return True

    def _confirm(
        self, member: TrialRecord, following: TrialRecord | None, items: Items | None
    ) -> None:
        worker = self.recorder.worker
        self.guard.check()
        measured = self.measuring.member(member, partial(self._recipe, following), items)
        confirmed = worker.in_turn(lambda: self.recorder.confirm(member.number, measured))
        worker.end_confirming(member.number)
        self.observe(Validated(confirmed))

    def _recipe(self, member: TrialRecord | None) -> Recipe | None:
        """The recipe of the member to build while the one before it is scored."""
        if member is None or not self.search.build_ahead:
            return None
        return Recipe.from_dict(dict(member.recipe))

    def _conclude(self, prior: Estimates) -> None:
        """Record the front that search and validate items tell together."""
        run, objectives = self.recorder.run(), self.search.objectives
        scores = {
            trial.number: trial.scores(Rung.VALIDATE)
            for trial in self.recorder.trials()
            if trial.number in prior.rows and trial.scores(Rung.VALIDATE)
        }
        if not scores:
            return
        if objectives.scores_parts:
            items = self.recorder.validated(scores)
            validated = ScoredItems(objectives.objectives, items).estimates()
        else:
            validated = independent(scores, [axis.name for axis in run.axes])
        confirmed = ConfirmedFront.of(run.axes, combined(prior, validated), scores, run.seed)
        self.guard.check()
        self.recorder.study.conclude(confirmed.to_dict())
