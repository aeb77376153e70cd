"""The search of a run: trial after trial, until a rule says that no further one is started."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial

from mergesearch.errors import MergeSearchError
from mergesearch.recipe import Recipe
from mergesearch.study.events import Noted, StageStarted, TrialFinished
from mergesearch.study.measuring import Measuring, Step
from mergesearch.study.records import Measurement, State, TrialRecord
from mergesearch.study.samplers.problem import STARTUP, Proposal
from mergesearch.study.stopping import Reached, SearchProgress, StopRule

LATER_FAILURES = 5
"""How many times as many failures in a row are borne once a trial was complete."""


@dataclass(frozen=True)
class Searching(Step):
    """The search of one process, alone or with others.

    Attributes:
        measuring: Measuring of the candidates.
        rule: When no further trial is started.
        failures_in_a_row: Number of trials that may fail before any was complete.
        check: Function that is called before every trial; what it raises ends the run.
    """

    measuring: Measuring
    rule: StopRule
    failures_in_a_row: int
    check: Callable[[], None]

    @cached_property
    def progress(self) -> SearchProgress:
        """What the search has come to."""
        on_parts = self.search.objectives.scores_parts
        estimates = (lambda: self.recorder.scored.estimates()) if on_parts else None
        return SearchProgress(self.recorder.run().axes, estimates)

    def take_earlier(self) -> tuple[TrialRecord, ...]:
        """Take in what the run has come to so far; return its trials."""
        trials, tokens = self.recorder.trials(), self._tokens()
        for trial in trials:
            if trial.finished:
                self.progress.take(trial, tokens.get(trial.number, 0))
        return trials

    def run(self) -> str:
        """Run trials; return why no further one is started."""
        failures = 0
        while (reason := self._end()) is None:
            self.guard.check()
            self.check()
            trial = self._run_trial()
            if trial is None:
                self.recorder.worker.pause()
                continue
            self._take(trial)
            self._note_constants(trial)
            failures = 0 if trial.state is State.COMPLETE else failures + 1
            self._bear(failures, trial)
        return reason

    def _end(self) -> str | None:
        """Why no further trial is started, once those of other workers have ended too."""
        while self._reason() is not None:
            self.recorder.worker.in_turn(self.recorder.hear)
            self._tell_news()
            reason = self._reason()
            if reason is None or not self.recorder.others_run():
                return reason
            self.recorder.worker.pause()
        return None

    def _reason(self) -> str | None:
        """Why no further trial is started by now, None where one may be."""
        reached = self.progress.reached(with_front=self.rule.looks_at_front)
        return self.rule.reason(reached, time.time())

    def _run_trial(self) -> TrialRecord | None:
        """Measure the trial that was left behind, else a new proposal, and record its end.

        None where other workers do all that is left, or did this one.
        """
        worker = self.recorder.worker
        started = worker.in_turn(self._start)
        self._tell_news()
        if started is None:
            return None
        number, recipe, failure = started
        if recipe is None:
            measured = {self.recorder.run().first_rung: Measurement(failure=failure)}
        else:
            measured = self.measuring.trial(number, recipe, partial(self._following, recipe))
        return worker.in_turn(lambda: self.recorder.finish(number, measured))

    def _start(self) -> tuple[int, Recipe | None, str | None] | None:
        """Start a trial; return its number, and its recipe or the reason why it has none."""
        self.recorder.hear()
        left = self.recorder.left_behind()
        if left is not None:
            self.recorder.start_trial_again(left)
            return left.number, *self.proposer.recipe(left.params)
        number = len(self.recorder.history.trials)
        if self.rule.reason(Reached(number), time.time()) is not None:
            return None  # as soon as the trials of other workers have ended
        self.observe(StageStarted(number, self.recorder.run().first_rung, "proposing"))
        proposal = self._propose()
        recipe, failure = self.proposer.recipe(proposal.parameters)
        number = self.recorder.start_trial(
            proposal,
            self.search.space.dimensions,
            recipe=recipe,
            shares={} if recipe is None else self.search.shares(recipe),
            words=() if recipe is None else self.search.words(recipe),
        )
        return number, recipe, failure

    def _propose(self) -> Proposal:
        """Propose the next trial.

        Where a GPU scores, a proposal never depends on the trial right before it: whether that one
        was still scored then, and whether there was memory to build ahead, makes no difference.
        Where workers share the run, what each trial's proposal knew is on record with it.
        """
        on_gpu = self.search.objectives.runtime.n_gpu_layers > 0
        lagging = on_gpu and self.recorder.worker.number is None
        with self.guard.interruptible():
            return self.proposer.propose(self.recorder.observations(lagging=lagging))

    def _following(self, recipe: Recipe) -> Recipe | None:
        """What to build while `recipe` is scored, the last thing that is left of its trial.

        None where the rule starts no other trial, or that one needs no building. Nothing of it goes
        on record: a run that ends before it starts proposes it again.
        """
        history = self.recorder.history
        reached = Reached(history.n_finished + 1)
        over = self.rule.reason(reached, time.time()) is not None
        if over or not self.search.build_ahead:
            return None
        history.update()  # with the trial that runs
        proposal = self._propose()
        other, _ = self.proposer.recipe(proposal.parameters)
        if other is None or other == recipe or history.with_recipe(other.digest()) is not None:
            return None
        return other

    def _take(self, trial: TrialRecord) -> None:
        """Take in and tell that a trial has finished."""
        self.progress.take(trial, self._tokens(trial.number).get(trial.number, 0))
        self.observe(TrialFinished(trial))

    def _tell_news(self) -> None:
        for trial in self.recorder.news():
            self._take(trial)

    def _tokens(self, trial: int | None = None) -> Mapping[int, int]:
        """Tokens that a trial took, or each, by trial; none where no rule looks at them."""
        return {} if self.rule.tokens is None else self.recorder.tokens(trial)

    def _note_constants(self, trial: TrialRecord) -> None:
        """Say which objectives no trial has moved, once a model is asked."""
        values = self.recorder.history.values
        if trial.state is not State.COMPLETE or len(values) != STARTUP:
            return
        for axis, column in zip(self.recorder.run().axes, zip(*values, strict=True), strict=True):
            if min(column) == max(column):
                same = f"{axis.name} is {column[0]:.3g} for all of {STARTUP} trials"
                self.observe(Noted(f"{same}; the search continues"))

    def _bear(self, failures: int, trial: TrialRecord) -> None:
        """Give up where the last trial is one failure too many in a row."""
        borne = self.failures_in_a_row
        if self.recorder.history.values:
            borne *= LATER_FAILURES
        if failures >= borne:
            raise MergeSearchError(
                f"{failures} trials in a row failed, so the search stops; the last one:\n"
                f"{trial.failure}",
                where=f"trial {trial.number}",
                fix="fix the cause; the same command resumes from here",
            )
