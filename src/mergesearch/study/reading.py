"""Reading a run: while a process works on it, and ever after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

from mergesearch._system.closing import Closing
from mergesearch.errors import RunFolderError
from mergesearch.objectives import ItemResult, Objectives, Rung
from mergesearch.study.confirming import ConfirmedFront
from mergesearch.study.database import Database, location, runs_of
from mergesearch.study.estimation.estimates import ScoredItems
from mergesearch.study.front import Front
from mergesearch.study.importances import Importances, importances
from mergesearch.study.ledger import Ledger
from mergesearch.study.ledger.sharing import Sharing
from mergesearch.study.records import Reference, RunRecord, TrialRecord, WorkerRecord
from mergesearch.study.settings import StudyFiles
from mergesearch.study.trials import Trials, trial_record


class RunRecords(Closing):
    """All that is on record about one run.

    Attributes:
        study: Trials of the run.
        objectives: Objectives of the run, without their task folder.
    """

    def __init__(self, database: Database, ledger: Ledger, run: RunRecord, study: Trials) -> None:
        self._database = database
        self._ledger = ledger
        self._run = run
        self.study = study
        self.objectives = Objectives.from_record(run.objectives)

    @classmethod
    def open(cls, url: str, name: str | None = None) -> Self:
        """Open a run for reading.

        Args:
            url: SQLAlchemy URL of the database; `database.sqlite_url` gives that of a file.
            name: Name of the run; None where the database holds one run only, as a file does.

        Raises:
            RunFolderError: There is no such database or run, or another version wrote it.
        """
        where = location(url)
        if isinstance(where, Path) and not where.is_file():
            what = "is a file, not a run folder" if where.parent.exists() else "no such folder"
            raise RunFolderError(
                f"has no {where.name}, so it is not a run folder"
                if where.parent.is_dir()
                else what,
                where=where.parent,
                fix="name the folder that `search run` wrote (its --out); `search list` shows those"
                " in results",
            )
        run_id, run = _choose(url, name)
        database = Database.open(url)
        try:
            study = Trials.open(database, run)
        except BaseException:
            database.close()
            raise
        return cls(database, Ledger(database.engine, run_id), run, study)

    @classmethod
    def of(cls, files: StudyFiles) -> Self:
        """Open the run in some files for reading.

        Raises:
            RunFolderError: There is no such database or run, or another version wrote it.
        """
        return cls.open(files.database, files.name)

    def tokens(self, trial: int | None = None) -> dict[int, int]:
        """Return how many tokens scoring one trial took, or scoring each, by trial."""
        return self._ledger.tokens(trial)

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def sharing(self) -> Sharing:
        """Return what the workers of the run tell each other."""
        return Sharing(self._database.engine, self._ledger.run_id)

    def workers(self) -> tuple[WorkerRecord, ...]:
        """Return every worker that ever joined; none where a single process worked."""
        sharing = self.sharing()
        return sharing.workers() if sharing.is_possible() else ()

    def run(self) -> RunRecord:
        """Return what the run is."""
        return self._run

    def trials(self) -> tuple[TrialRecord, ...]:
        """Return every trial, by number; unfinished ones too.

        Where trials are scored on parts of the items, their scores are what all results on record
        tell by now.
        """
        trials = self.study.all()  # first: what has finished by now is in the ledger
        rungs = self._ledger.rungs()
        records = [trial_record(trial, rungs.get(trial.number, {})) for trial in trials]
        if self.objectives.scores_parts:
            scored = self._scored_items()
            records = [_estimated(record, scored) for record in records]
        return tuple(records)

    def items(
        self, number: int, rung: Rung = Rung.SEARCH, task: str | None = None
    ) -> tuple[ItemResult, ...]:
        """Return a trial's item results on a rung, by task and item; empty where it has none.

        A trial that reused the scores of another has the other's.
        """
        items = self._ledger.items(number, rung, task)
        trials = [] if items else self.study.all()
        if not 0 <= number < len(trials):
            return items
        twin = trials[number].user_attrs.get("reused_from")
        return items if twin is None else self._ledger.items(twin, rung, task)

    def references(self) -> tuple[Reference, ...]:
        """Return the specialists' answers that proxies are made of; empty before they are known."""
        return self._ledger.references()

    def _scored_items(self) -> ScoredItems:
        """What complete trials gave on the search items; nothing where all see the same ones."""
        complete = {trial.number for trial in self.study.all() if trial.values is not None}
        results = self._ledger.results(Rung.SEARCH) if self.objectives.scores_parts else {}
        return ScoredItems(
            self.objectives.objectives,
            {trial: items for trial, items in results.items() if trial in complete},
        )

    def importances(self, trials: Sequence[TrialRecord] | None = None) -> Importances:
        """Return the share of each dimension in the variance of each objective.

        Args:
            trials: What `trials` returned; None for reading them.
        """
        records = self.trials() if trials is None else trials
        return importances(self._run.axes, self.study.all(), records)

    def front(self, trials: Sequence[TrialRecord] | None = None) -> Front:
        """Return the Pareto front as it is now.

        Args:
            trials: What `trials` returned; None for reading them.
        """
        found = self.study.conclusion()
        confirmed = None if found is None else ConfirmedFront.from_dict(found)
        return Front.of(self._run.axes, self.trials() if trials is None else trials, confirmed)


def _estimated(record: TrialRecord, scored: ScoredItems) -> TrialRecord:
    """A trial whose search scores are what all item results on record tell."""
    source = record.number if record.reused_from is None else record.reused_from
    if Rung.SEARCH not in record.rungs or source not in scored.estimates().rows:
        return record
    searched = replace(record.rungs[Rung.SEARCH], scores=scored.scores(source))
    return replace(record, rungs={**record.rungs, Rung.SEARCH: searched})


def _choose(url: str, name: str | None) -> tuple[int, RunRecord]:
    """The run of this name with its id in the ledger; the only one for None."""
    chosen = runs_of(url, name)
    if len(chosen) == 1:
        return next(iter(chosen.items()))
    known = runs_of(url)
    names = ", ".join(run.name for run in known.values())
    if chosen:
        what = "it holds several runs, and none was named"
    else:
        what = f"it holds no run named {name}" if known else "it holds no run"
    raise RunFolderError(what, where=location(url), expected=names or None)
