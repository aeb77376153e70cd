"""The loop of a run: open, prepare, search, validate, write."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial

from mergesearch._system.files import write_json
from mergesearch.errors import MergeSearchError
from mergesearch.objectives import Rung
from mergesearch.recipe import Recipe
from mergesearch.study.building import Builder
from mergesearch.study.events import (
    Noted,
    Observer,
    ParentMeasured,
    RunFinished,
    RunStarted,
    StageStarted,
    TrialFinished,
)
from mergesearch.study.front import Front
from mergesearch.study.lock import run_lock
from mergesearch.study.measuring import Measuring
from mergesearch.study.progress import SearchProgress
from mergesearch.study.proposing import Proposer
from mergesearch.study.proxies import by_task, measured_references
from mergesearch.study.recording import RunRecorder
from mergesearch.study.records import Measurement, State, TrialRecord
from mergesearch.study.samplers import STARTUP, Proposal
from mergesearch.study.settings import Search, StudyFiles, StudySettings
from mergesearch.study.stopping import Reached, SignalGuard, StopRule
from mergesearch.study.validating import Validating

_Started = tuple[int, Recipe | None, str | None]

LATER_FAILURES = 5
"""How many times as many failures in a row are borne once a trial was complete."""


def run_study(
    files: StudyFiles,
    search: Search,
    settings: StudySettings,
    observe: Observer = lambda event: None,
) -> Front:
    """Run a search, or resume the one on record, and return its front, which is also written.

    Raises:
        RunFolderError: Another process is at work on the run, or it is another search's.
        InputError: An unknown sampler.
        Interrupted: Someone stopped it; the same call resumes it.
        MergeSearchError: Too many trials in a row failed.
    """
    with (
        run_lock(files.lock) as lock,
        SignalGuard() as guard,
        RunRecorder.start(files, search, settings, guard.check) as recorder,
        Builder(search.build) as builder,
    ):
        lock.mark_started()
        proposer = Proposer(search, recorder.run())
        measuring = Measuring(search, builder, proposer, recorder, guard, observe)
        rule = stop_rule(settings)
        loop = _Loop(
            search, settings, rule, recorder, proposer, measuring, lock.check, guard, observe
        )
        front = loop.run()
        write_json(files.front, front.to_dict())
        observe(RunFinished(front))
    return front


def join_study(
    files: StudyFiles,
    search: Search,
    settings: StudySettings,
    rule: StopRule,
    observe: Observer = lambda event: None,
) -> Front:
    """Work on a run with others until its search has ended and its front is confirmed.

    The next candidate is never built ahead: another worker will have started that trial.

    Args:
        files: Where the run is; nothing is written beside its database.
        rule: When no further trial is started, as the one who started the run said.
        observe: Function that is called with every event of this worker, and with trials that
            others finished.

    Raises:
        RunFolderError: It is another search's.
        Interrupted: Someone stopped this worker; another one does its trial again.
        MergeSearchError: Too many trials of this worker in a row failed.
    """
    search = replace(search, build_ahead=False)
    with (
        SignalGuard() as guard,
        RunRecorder.start(files, search, settings, guard.check) as recorder,
        recorder.join(files.turns, guard.check),
        Builder(search.build) as builder,
    ):
        proposer = Proposer(search, recorder.run())
        proposer.lags = False  # what each trial's proposal knew is on record with it
        measuring = Measuring(search, builder, proposer, recorder, guard, observe)
        loop = _Loop(
            search, settings, rule, recorder, proposer, measuring, guard.check, guard, observe
        )
        return loop.run()


def stop_rule(settings: StudySettings) -> StopRule:
    """Return when a search that starts now starts no further trial."""
    return StopRule.of(settings, time.time(), settings.confirm)


@dataclass(frozen=True)
class _Loop:
    """One start of a run: its parts, and what it does with them."""

    search: Search
    settings: StudySettings
    rule: StopRule
    recorder: RunRecorder
    proposer: Proposer
    measuring: Measuring
    check: Callable[[], None]
    guard: SignalGuard
    observe: Observer

    @cached_property
    def progress(self) -> SearchProgress:
        """What the search has come to."""
        on_parts = self.search.objectives.scores_parts
        estimates = (lambda: self.recorder.scored.estimates()) if on_parts else None
        return SearchProgress(self.recorder.run().axes, estimates)

    def run(self) -> Front:
        """Search until the rule says so, validate the front's members, and return the front."""
        run, worker = self.recorder.run(), self.recorder.worker
        worker.in_turn(self.recorder.tell_finished)
        self._take_earlier()
        if run.first_rung is Rung.PROXY:
            worker.in_turn(self._prepare_proxies)
        reason = self._search()
        if self.settings.confirm:
            self._validating().run(reason)
        return self.recorder.front()

    def _take_earlier(self) -> None:
        """Take in and tell what the run has come to so far."""
        with self.guard.interruptible():
            trials, tokens = self.recorder.trials(), self._tokens()
        for trial in trials:
            if trial.finished:
                self.progress.take(trial, tokens.get(trial.number, 0))
        run = self.recorder.run()
        self.observe(RunStarted(run.axes, self.rule, run.sampler, trials, run.seed))

    def _tokens(self, trial: int | None = None) -> Mapping[int, int]:
        """Tokens that a trial took, or each, by trial; none where no rule looks at them."""
        return {} if self.rule.tokens is None else self.recorder.tokens(trial)

    def _take(self, trial: TrialRecord) -> None:
        """Take in and tell that a trial has finished."""
        self.progress.take(trial, self._tokens(trial.number).get(trial.number, 0))
        self.observe(TrialFinished(trial))

    def _validating(self) -> Validating:
        return Validating(
            self.search,
            self.recorder,
            self.proposer,
            self.measuring,
            self.guard,
            self.observe,
            self.settings.confirm,
        )

    def _prepare_proxies(self) -> None:
        """Let the specialists answer their sides' search items, once in a run."""
        references = self.recorder.references()
        if not references:
            parents = list(self.search.parents)
            references = measured_references(self.search.objectives, parents, self._parent)
            self.recorder.record_references(references)
        self.search.use_references(by_task(references))

    def _parent(self, parent: str) -> Measurement:
        measured = self.measuring.parent(parent)
        seconds = measured.build_seconds + measured.score_seconds
        self.observe(ParentMeasured(parent, measured.scores, seconds))
        return measured

    def _search(self) -> str:
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
            self._hear()
            reason = self._reason()
            if reason is None or not self.recorder.others_run():
                return reason
            self.recorder.worker.pause()
        return None

    def _hear(self) -> None:
        """Take in and tell what other workers have finished."""
        self.recorder.worker.in_turn(self.recorder.hear)
        self._tell_news()

    def _tell_news(self) -> None:
        for trial in self.recorder.news():
            self._take(trial)

    def _note_constants(self, trial: TrialRecord) -> None:
        """Say which objectives no trial has moved, once a model is asked."""
        values = self.recorder.history.values
        if trial.state is not State.COMPLETE or len(values) != STARTUP:
            return
        for axis, column in zip(self.recorder.run().axes, zip(*values, strict=True), strict=True):
            if min(column) == max(column):
                same = f"{axis.name} is {column[0]:.3g} for all of {STARTUP} trials"
                self.observe(Noted(f"{same}; the search continues"))

    def _reason(self) -> str | None:
        """Why no further trial is started by now, None where one may be."""
        reached = self.progress.reached(with_front=self.rule.looks_at_front)
        return self.rule.reason(reached, time.time())

    def _bear(self, failures: int, trial: TrialRecord) -> None:
        """Give up where the last trial is one failure too many in a row."""
        borne = self.settings.failures_in_a_row
        if self.recorder.history.values:
            borne *= LATER_FAILURES
        if failures >= borne:
            raise MergeSearchError(
                f"{failures} trials in a row failed, so the search stops; the last one:\n"
                f"{trial.failure}",
                where=f"trial {trial.number}",
                fix="fix the cause; the same command resumes from here",
            )

    def _run_trial(self) -> TrialRecord | None:
        """Measure the trial that was left behind, else a new proposal, and record its end.

        None where other workers do all that is left, or did this one.
        """
        worker = self.recorder.worker
        started = worker.in_turn(self._start)
        self._tell_news()
        if started is None:
            return None
        measured = self._measured(*started)
        return worker.in_turn(lambda: self.recorder.finish(started[0], measured))

    def _measured(
        self, number: int, recipe: Recipe | None, failure: str | None
    ) -> Mapping[Rung, Measurement]:
        first = self.recorder.run().first_rung
        if recipe is None:
            return {first: Measurement(failure=failure)}
        twin = self.recorder.history.with_recipe(recipe.digest())
        if twin is not None:
            return {first: self.recorder.reuse(number, twin)}
        return self.measuring.trial(number, recipe, partial(self._following, recipe))

    def _start(self) -> _Started | None:
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
        with self.guard.interruptible():
            return self.proposer.propose(self.recorder.observations(lagging=self.proposer.lags))

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
