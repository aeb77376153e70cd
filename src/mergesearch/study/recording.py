"""Recording a run: what its loop writes, in an order that lets it be killed anywhere.

A trial is on record before its candidate is built. What it gave is written to the ledger in one
transaction, and then told to Optuna. So a kill leaves either a running trial without a measurement
on record, which is done again under its number, or one with it, which is told at the next start.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Self

from optuna.trial import FrozenTrial

from mergesearch.objectives import ItemResult, Items, Rung
from mergesearch.study.database import Database, is_file
from mergesearch.study.history import History
from mergesearch.study.identity import identify
from mergesearch.study.ledger import Ledger, add_run
from mergesearch.study.racing import Race
from mergesearch.study.reading import RunRecords
from mergesearch.study.records import (
    Measurement,
    Reference,
    RungRecord,
    RunRecord,
    State,
    TrialRecord,
)
from mergesearch.study.samplers import Observation, lagged
from mergesearch.study.scored import ScoredItems
from mergesearch.study.settings import Search, StudyFiles, StudySettings
from mergesearch.study.trials import Trials, observation, trial_record


class RunRecorder(RunRecords):
    """The records of a run, for the one process that adds to them.

    Attributes:
        study: Trials of the run.
        history: Trials of the run as the search looks at them.
        scored: Results of the trials on the search items, where they are scored on parts.
    """

    def __init__(self, database: Database, ledger: Ledger, run: RunRecord, study: Trials) -> None:
        super().__init__(database, ledger, run, study)
        self.study = study
        self.history = History(study)
        self.scored = self._scored_items()

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
            files: Files of the records.
            search: Search of the run.
            settings: Settings of the run.
            on_wait: Called while another process holds the database locked; see `Database.create`.

        Raises:
            RunFolderError: The run on record is another search's, or the database cannot be used.
            InputError: An unknown sampler.
        """
        run_id, run = identify(files, search, settings)
        database = Database.create(files.database, on_wait)
        try:
            known = run_id is not None or is_file(files.database)
            study = Trials.create(database.storage, run, load_if_exists=known)
            if run_id is None:
                run_id = add_run(database.engine, run)
        except BaseException:
            database.close()
            raise
        return cls(database, Ledger(database.engine, run_id), run, study)

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
            scored = scored.without_trial(len(known) - 1)
        if self._run.first_rung is not Rung.SEARCH:  # the sampler is told of proxies
            return known
        return self._estimated(known, scored)

    def searched(self) -> dict[int, Observation]:
        """Return what the search items tell of every trial that was scored on them, by number.

        A trial that reused the scores of another is that other one again, and left out.
        """
        estimates = self.scored.estimates()
        roots = estimates.roots()
        found = {}
        for trial in self.trials():
            scores = [trial.scores().get(axis.name) for axis in self._run.axes]
            if trial.state is State.COMPLETE and trial.reused_from is None and all(scores):
                row = estimates.rows.get(trial.number)
                found[trial.number] = Observation(
                    parameters=trial.parameters,
                    values=tuple(score.value for score in scores if score),
                    standard_errors=tuple(score.stderr for score in scores if score),
                    errors=[] if row is None else [root[row] for root in roots],
                )
        return found

    def _estimated(self, known: Sequence[Observation], scored: ScoredItems) -> list[Observation]:
        """Give complete trials the values that all item results together tell of them."""
        estimates = scored.estimates()
        roots = estimates.roots()
        found = []
        for number, (trial, observed) in enumerate(zip(self.history.trials, known, strict=True)):
            row = estimates.rows.get(trial.user_attrs.get("reused_from", number))
            if observed.state is State.COMPLETE and row is not None:
                observed = replace(
                    observed,
                    values=tuple(estimates.values[row].tolist()),
                    standard_errors=tuple(estimates.errors[row].tolist()),
                    errors=[root[row] for root in roots],
                )
            found.append(observed)
        return found

    def race(self, trial: int, order: Items, *, is_start: bool) -> Race:
        """Return the race of a trial that is to be scored now.

        Args:
            trial: Number of the trial.
            order: Search items of each task in their fixed order.
            is_start: Whether the trial is one that the space names to come first.
        """
        return Race(self.objectives, order, self.scored, trial, self._run.seed, is_start=is_start)

    def tell_finished(self) -> None:
        """Tell Optuna of the trials that were measured and not told."""
        for trial in self.history.trials:
            if not trial.state.is_finished():
                first = self._rungs(trial.number).get(self._run.first_rung)
                if first is not None:
                    self._tell(trial.number, first)
        self.history.update()

    def finish(self, number: int, measured: Mapping[Rung, Measurement]) -> TrialRecord:
        """Record what a trial gave; whether it failed on the first rung is whether it failed."""
        self._ledger.record(number, measured)
        searched = measured.get(Rung.SEARCH)
        if searched is not None and searched.failure is None and self.objectives.scores_parts:
            items = [item for result in searched.results.values() for item in result.items]
            if items:
                self.scored = self.scored.with_trial(number, items)
        self._tell(number, self._rungs(number)[self._run.first_rung])
        self.history.update()
        return self._record(self.history.trials[number])

    def confirm(self, number: int, measured: Measurement) -> TrialRecord:
        """Record what a member of the front gave on the validate items."""
        self._ledger.record(number, {Rung.VALIDATE: measured})
        return self._record(self.history.trials[number])

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
        self._ledger.record_references(references)

    def _tell(self, number: int, first: RungRecord) -> None:
        if first.failure is not None:
            self.study.note(number, failure=first.failure)
            self.study.tell(number, None)
            return
        scores = {axis.name: first.scores[axis.name] for axis in self._run.axes}
        errors = {name: score.stderr for name, score in scores.items()}
        self.study.note(number, standard_errors=errors)
        self.study.tell(number, [score.value for score in scores.values()])

    def _rungs(self, number: int) -> dict[Rung, RungRecord]:
        return self._ledger.rungs(number).get(number, {})

    def _record(self, trial: FrozenTrial) -> TrialRecord:
        return trial_record(trial, self._rungs(trial.number))
