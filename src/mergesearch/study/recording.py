"""Recording a run: what its loop writes, in an order that lets it be killed anywhere.

A trial is on record before its candidate is built. What it gave is written to the ledger in one
transaction, and then told to Optuna. So a kill leaves either a running trial without a measurement
on record, which is done again under its number, or one with it, which is told at the next start.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from optuna.trial import FrozenTrial

from mergesearch.objectives import ItemResult, Items, Rung
from mergesearch.space import Dimension
from mergesearch.study.database import Database, is_file
from mergesearch.study.estimation.estimates import Estimates, ScoredItems
from mergesearch.study.history import History
from mergesearch.study.identity import identify
from mergesearch.study.ledger import Ledger, add_run
from mergesearch.study.locks import file_turns, server_turns
from mergesearch.study.racing import Race
from mergesearch.study.reading import RunRecords
from mergesearch.study.records import (
    Measurement,
    Observation,
    Reference,
    RunRecord,
    State,
    TrialRecord,
)
from mergesearch.study.samplers.problem import Proposal, lagged
from mergesearch.study.settings import Search, StudyFiles, StudySettings
from mergesearch.study.trials import Trials, moment, observation, trial_record
from mergesearch.study.workers import SharedWorker, Worker


class RunRecorder(RunRecords):
    """The records of a run, for a process that adds to them.

    Attributes:
        history: Trials of the run as the search looks at them.
        scored: Results of the trials on the search items, where they are scored on parts.
        worker: Part that this process has in the run.
    """

    def __init__(self, database: Database, ledger: Ledger, run: RunRecord, study: Trials) -> None:
        super().__init__(database, ledger, run, study)
        self.history = History(study)
        self.scored = self._scored_items()
        self.worker = Worker()
        self._news: list[FrozenTrial] = []  # finished, and not told by `news` yet

    @classmethod
    def start(
        cls,
        files: StudyFiles,
        search: Search,
        settings: StudySettings,
        on_wait: Callable[[], None] = lambda: None,
    ) -> Self:
        """Open the records of a search, new or on record.

        Args:
            on_wait: Function that is called while another process holds the database locked; see
                `Database.create`.

        Raises:
            RunFolderError: The run on record is another search's, or the database cannot be used.
            InputError: An unknown sampler.
        """
        run_id, run = identify(files, search, settings)
        database = Database.create(files.database, on_wait)
        try:
            known = run_id is not None or is_file(files.database)
            study = Trials.create(database, run, load_if_exists=known)
            if run_id is None:
                run_id = add_run(database.engine, run)
        except BaseException:
            database.close()
            raise
        return cls(database, Ledger(database.engine, run_id, database.server_wait), run, study)

    def join(self, turns: Path, check: Callable[[], None]) -> SharedWorker:
        """Become one of the workers of the run, which leaves it when it is closed.

        Args:
            turns: File whose lock gives turns where the database is a file.
            check: Function that raises what ends the run; called while others have their turn.
        """
        engine, run_id = self._database.engine, self._ledger.run_id
        given = (
            server_turns(engine, run_id, check)
            if engine.dialect.name != "sqlite"
            else file_turns(turns, check)
        )
        worker = SharedWorker(self.sharing(), given, self._database.server_wait, check)
        self.worker = worker
        return worker

    def observations(self, *, lagging: bool = False) -> list[Observation]:
        """Return what a sampler knows of every trial in the history, by number.

        Where trials are scored on parts of the items, a value is what all results together tell.

        Args:
            lagging: Whether the last trial counts as one that still runs, whatever has become of
                it since.
        """
        known = [observation(trial, self._run) for trial in self.history.trials]
        scored = self.scored
        if lagging:
            known = lagged(known)
            scored = scored.without({len(known) - 1})
        if self._run.first_rung is not Rung.SEARCH:  # the sampler is told of proxies
            return known
        return self._estimated(known, scored) if self.objectives.scores_parts else known

    def _estimated(self, known: Sequence[Observation], scored: ScoredItems) -> list[Observation]:
        """What all item results together tell of complete trials."""
        estimates = scored.estimates()
        return [
            _as_estimated(observed, estimates, trial.user_attrs.get("reused_from", trial.number))
            if observed.state is State.COMPLETE
            else observed
            for trial, observed in zip(self.history.trials, known, strict=True)
        ]

    def searched(self) -> dict[int, Observation]:
        """Return what the search items tell of every trial that was scored on them, by number.

        A trial that reused the scores of another is that other one again, and left out.
        """
        estimates = self.scored.estimates()
        found = {}
        for trial in self.trials():
            if trial.state is State.COMPLETE and trial.reused_from is None and trial.scores():
                scores = [trial.scores()[axis.name] for axis in self._run.axes]
                searched = Observation.of(trial.parameters, scores)
                found[trial.number] = _as_estimated(searched, estimates, trial.number)
        return found

    def hear(self) -> None:
        """Take in what other workers have started and finished since; in a turn."""
        if self.worker.number is not None:
            self.tell_finished()

    def news(self) -> list[TrialRecord]:
        """Return the trials of other workers that were heard of since the last call."""
        own = self.worker.number
        others = [trial for trial in self._news if trial.user_attrs.get("worker") != own]
        heard = [self._record(trial) for trial in others if own is not None]
        self._news = []
        return heard

    def left_behind(self) -> FrozenTrial | None:
        """Return the first trial that was started, is not measured, and is for this worker.

        Its own one is: this is asked between two trials, so that one was never started in earnest.
        """
        others = self.worker.others()
        unfinished = self.history.unfinished()
        left = (trial for trial in unfinished if trial.user_attrs.get("worker") not in others)
        return next(left, None)

    def others_run(self) -> bool:
        """Whether other workers have trials under way."""
        others = self.worker.others()
        return any(trial.user_attrs.get("worker") in others for trial in self.history.unfinished())

    def start_trial(self, proposal: Proposal, dimensions: Sequence[Dimension], **known: Any) -> int:
        """Record a proposal as a trial that is started now, and return its number."""
        if self.worker.number is not None:
            known["worker"] = self.worker.number
        if unseen := [trial.number for trial in self.history.unfinished()]:
            known["unseen"] = unseen
        self.worker.check_turn()
        return self.study.start(proposal, dimensions, **known)

    def start_trial_again(self, trial: FrozenTrial) -> None:
        """Record that an unfinished trial is done again from now on, by this worker."""
        owner = {} if self.worker.number is None else {"worker": self.worker.number}
        self.worker.check_turn()
        attempts = [*trial.user_attrs["attempts"], moment()]
        self.study.note(trial.number, attempts=attempts, **owner)

    def race(self, trial: int, order: Items, *, is_start: bool) -> Race:
        """Return the race of a trial that is to be scored now.

        It knows what was known when the trial was proposed, so whoever does it again races alike.

        Args:
            order: Search items of each task in their fixed order.
            is_start: Whether the trial is one that the space names to come first.
        """
        seen = self._seen_by(trial)
        return Race(self.objectives, order, seen, trial, self._run.seed, is_start=is_start)

    def _seen_by(self, trial: int) -> ScoredItems:
        """The results that were known when a trial was proposed."""
        if trial >= len(self.history.trials):  # that was just now
            return self.scored
        unseen = self.history.trials[trial].user_attrs.get("unseen", ())
        return self.scored.without({*range(trial, len(self.history.trials)), *unseen})

    def tell_finished(self) -> None:
        """Tell Optuna of the trials that were measured and not told; in a turn."""
        self._update()  # another worker may have told of them by now
        for trial in self.history.unfinished():
            first = self._rungs(trial.number).get(self._run.first_rung)
            if first is not None:
                self._tell(trial.number, first)
        self._update()

    def _update(self) -> None:
        """Take in the trials that have finished since, and what they gave."""
        finished = self.history.update()
        self._news += finished
        for trial in finished if self.objectives.scores_parts else ():
            is_known = trial.number in self.scored or "reused_from" in trial.user_attrs
            if trial.values is not None and not is_known:
                items = self._ledger.items(trial.number, Rung.SEARCH)
                self.scored = self.scored.with_trial(trial.number, items)

    def finish(self, number: int, measured: Mapping[Rung, Measurement]) -> TrialRecord | None:
        """Record what a trial gave; whether it failed on the first rung is whether it failed.

        Returns:
            The trial, None where another worker does it again, since it took this one for lost.
        """
        if self.worker.number is not None:
            trial = self.study.all()[number]
            if trial.user_attrs["worker"] != self.worker.number:
                return None
            if trial.state.is_finished():  # the server went away right after that
                return self._record(trial)
        if self.worker.number is None or not self._rungs(number):
            self.worker.check_turn()
            self._ledger.record(number, measured)
        searched = measured.get(Rung.SEARCH, Measurement())
        if searched.failure is None and searched.items and self.objectives.scores_parts:
            self.scored = self.scored.with_trial(number, searched.items)
        rungs = self._rungs(number)
        self._tell(number, rungs[self._run.first_rung])
        self._update()
        return trial_record(self.history.trials[number], rungs)

    def confirm(self, number: int, measured: Measurement) -> TrialRecord:
        """Record what a member of the front gave on the validate items."""
        if self.worker.number is None or not self.is_validated(number):
            self.worker.check_turn()
            self._ledger.record(number, {Rung.VALIDATE: measured})
        return self._record(self.history.trials[number])

    def is_validated(self, number: int) -> bool:
        """Whether a member of the front has scores on the validate items."""
        found = self._rungs(number).get(Rung.VALIDATE)
        return found is not None and found.failure is None

    def validated(self, trials: Collection[int]) -> dict[int, list[ItemResult]]:
        """Return what some trials gave on the validate items, by trial."""
        results = self._ledger.results(Rung.VALIDATE)
        return {trial: items for trial, items in results.items() if trial in trials}

    def reuse(self, number: int, twin: FrozenTrial) -> Measurement:
        """Record that a trial has the candidate of an earlier one; return the scores of that."""
        same = {key: twin.user_attrs[key] for key in ("digest", "size")}
        self.study.note(number, **same, reused_from=twin.number)
        return Measurement(self._rungs(twin.number)[self._run.first_rung].scores)

    def record_references(self, references: Sequence[Reference]) -> None:
        """Record the specialists' answers that proxies are made of; once."""
        self.worker.check_turn()
        self._ledger.record_references(references)

    def _tell(self, number: int, first: Measurement) -> None:
        self.worker.check_turn()
        if first.failure is not None:
            self.study.tell(number, None, failure=first.failure)
            return
        scores = {axis.name: first.scores[axis.name] for axis in self._run.axes}
        errors = {name: score.stderr for name, score in scores.items()}
        self.study.tell(number, [score.value for score in scores.values()], standard_errors=errors)

    def _rungs(self, number: int) -> dict[Rung, Measurement]:
        return self._ledger.rungs(number).get(number, {})

    def _record(self, trial: FrozenTrial) -> TrialRecord:
        return trial_record(trial, self._rungs(trial.number))


def _as_estimated(observed: Observation, estimates: Estimates, trial: int) -> Observation:
    """An observation with the estimates of a trial and their joint errors, where there are any."""
    row = estimates.rows.get(trial)
    if row is None:
        return observed
    return replace(
        observed,
        values=tuple(estimates.values[row].tolist()),
        standard_errors=tuple(estimates.errors[row].tolist()),
        errors=[root[row] for root in estimates.roots],
    )
