"""A run, to be read: while it works, and ever after."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mergesearch._system.alike import did_you_mean
from mergesearch._system.files import write_text
from mergesearch._system.terminal import printable
from mergesearch.errors import InputError
from mergesearch.objectives import (
    ITEM_RUNGS,
    ItemResult,
    Objectives,
    PairedDifference,
    Rung,
    paired_difference,
)
from mergesearch.recipe import Recipe
from mergesearch.recipe.shares import short_names
from mergesearch.report.tables import scores_line
from mergesearch.runs.folder import RunFolder
from mergesearch.runs.kept_importances import kept_importances
from mergesearch.runs.kinds import Kind, refuse_other
from mergesearch.study.front import Front
from mergesearch.study.importances import Importances, constant_objectives
from mergesearch.study.locks import is_running
from mergesearch.study.reading import RunRecords
from mergesearch.study.records import RunRecord, State, TrialRecord, WorkerRecord
from mergesearch.study.standing import (
    HypervolumeDifference,
    Standing,
    hypervolume_difference,
    standing,
)
from mergesearch.study.workers import LOST_SECONDS

if TYPE_CHECKING:
    import pandas as pd


class Run:
    """A run in its folder. Reading never disturbs a process that works in it.

    Args:
        folder: Folder that `search` or `search run` wrote.

    Attributes:
        folder: Paths of the files in the folder.
        record: Record of the run: its space, objectives, sampler, seed and versions.

    Raises:
        RunFolderError: The folder holds no run.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = RunFolder(Path(folder))
        refuse_other(self.folder.path, Kind.RUN)
        self._reading: _Reading | None = None
        with self._records() as records:
            self.record: RunRecord = records.run()

    def __repr__(self) -> str:
        return f"Run({str(self.folder.path)!r})"

    def is_running(self) -> bool:
        """Whether a process is at work on the run, on any machine."""
        return is_running(self.folder.lock) or any(
            not worker.has_left and worker.silent_seconds < LOST_SECONDS
            for worker in self.workers()
        )

    def workers(self) -> tuple[WorkerRecord, ...]:
        """Return every worker that ever joined the run; none where a single process worked."""
        with self._records() as records:
            return records.workers()

    def state(self) -> str:
        """Return `running`, `finished` (its front is confirmed and written) or `stopped`."""
        if self.is_running():
            return "running"
        return "finished" if self.folder.front.is_file() else "stopped"

    def trials(self) -> tuple[TrialRecord, ...]:
        """Return every trial, by number; unfinished ones too."""
        return self._read().trials

    def trial(self, number: int) -> TrialRecord:
        """Return one trial.

        Raises:
            InputError: The run has no trial of this number.
        """
        trials = self.trials()
        if not 0 <= number < len(trials):
            raise InputError(
                f"the run has no trial {number}",
                where=self.folder.path,
                expected=f"0 to {len(trials) - 1}" if trials else None,
            )
        return trials[number]

    def front(self) -> Front:
        """Return the Pareto front as it stands: confirmed, once that is known."""
        return self._read().front

    def pick(self, pick: int | str = "knee") -> TrialRecord:
        """Return a complete trial: `17` or `trial:17`, a parent alone, or an expression's choice.

        A parent is named as in `parent_called`. Expressions are `knee`, `best:OBJECTIVE`,
        `max:OBJECTIVE where OTHER>=0.3 and ...` (or `min:`, `<=`), and
        `weighted:OBJECTIVE=2,OTHER=1`; they choose a member of the front.

        Raises:
            InputError: No such trial, parent or objective, a trial without scores, no member that
                holds the limits, or no front yet.
        """
        wanted = str(pick)
        number = wanted.removeprefix("trial:")
        if number.isdecimal():
            return self._complete(int(number))
        parent = self.parent_called(wanted)
        if parent is not None:
            return self._alone(parent)
        try:
            return self.trial(self.front().pick(wanted))
        except InputError as error:
            error.fix = error.fix or did_you_mean(wanted, self.names())
            raise

    def names(self) -> list[str]:
        """Return the short names that `pick` takes: the knee, the best ones, parents, members."""
        front = self.front()
        best = [f"best:{axis.name}" for axis in front.axes]
        members = [str(member.trial) for member in front.members]
        return ["knee", *best, *short_names(self._parents()), *members]

    def parent_called(self, name: str) -> str | None:
        """Return the id of the parent that has this id, or this last part of it; None for none.

        Raises:
            InputError: Several parents' ids end in the name.
        """
        parents = self._parents()
        if name in parents:
            return name
        called = [ref for ref in parents if short_names([ref]) == [name]]
        if len(called) > 1:
            raise InputError(f"several parents are called {name!r}", expected=" or ".join(called))
        return called[0] if called else None

    def standing(self, pick: int | str = "knee") -> Standing:
        """Return how a trial stands: its scores, and the chance that it beats each parent.

        The scores of a member of a confirmed front are the confirmed ones.
        """
        trial = self.pick(pick)
        rivals = [other for other in self.trials() if other.scores() and other.parent]
        with self._records() as records:
            found = standing(trial, rivals, records.items, self.objectives().objectives)
        for member in self.front().members:
            if member.trial == trial.number and member.confirmed is not None:
                found = replace(found, rung=Rung.VALIDATE, scores=member.known, confirmed=True)
        return found

    def importances(self) -> Importances:
        """Return the share of each dimension in the variance of each objective, as estimated."""
        trials = self.trials()

        def compute() -> Importances:
            with self._records() as records:
                return records.importances(trials)

        return kept_importances(self.folder.importances, trials, compute)

    def constant_objectives(self) -> list[str]:
        """Return the objectives that have the same value in all trials."""
        return constant_objectives(self.record.axes, self.trials())

    def recipe(self, pick: int | str = "knee") -> Recipe:
        """Return the recipe that rebuilds a trial's candidate, its parents pinned; see `pick`."""
        return self.recipe_of(self.pick(pick))

    def recipe_of(self, trial: TrialRecord) -> Recipe:
        """Return the recipe that rebuilds a trial's candidate, its parents pinned."""
        return Recipe.from_dict(dict(trial.recipe)).renamed(self.folder.read_pins())

    def items(self, number: int, rung: str = Rung.SEARCH) -> tuple[ItemResult, ...]:
        """Return the result of every item of a trial on a rung, by task and item.

        Those of a trial that reused the scores of another are the other's.

        Raises:
            InputError: No such trial, or it was not scored on the rung.
        """
        trial = self.trial(number)
        items = self.results(number, Rung(rung))
        if not items:
            known = [name for name in trial.rungs if trial.scores(name)]
            raise InputError(
                f"trial {number} has no items on the rung '{rung}'",
                expected=f"one of: {', '.join(known)}" if known else "a trial that was scored",
            )
        return items

    def objectives(self) -> Objectives:
        """Return the objectives of the run, without the folder of their tasks."""
        return Objectives.from_record(self.record.objectives)

    def compare(
        self, first: int, second: int, rung: str | None = None
    ) -> dict[str, PairedDifference]:
        """Return by how much one trial is ahead of another in each objective, item by item.

        Args:
            rung: `search` or `validate`; None: the one on which they have more items in common.

        Raises:
            InputError: No such trial, or it was not scored on the rung.
            ScoringError: They have fewer than two scored items of a task in common.
        """
        rung = rung or self.shared_rung(first, second)
        ours, theirs = self.items(first, rung), self.items(second, rung)
        return {
            objective.name: paired_difference(objective, ours, theirs)
            for objective in self.objectives().objectives
        }

    def shared_rung(self, first: int, second: int) -> Rung:
        """Return the rung on which two trials have more items in common, search where none has."""
        return shared_rung(partial(self.results, first), partial(self.results, second))

    def against(self, other: Run) -> HypervolumeDifference | None:
        """Return by how much the front is ahead of another run's, None while one has no members.

        Members are compared on the validate items where all of both were scored on them, since the
        search chose by the others.

        Raises:
            InputError: The other run was scored otherwise.
        """
        self.refuse_scored_otherwise(other)
        for rung in (Rung.VALIDATE, Rung.SEARCH):
            ours, theirs = self._members(rung), other._members(rung)
            if ours and theirs:
                objectives = self.objectives().objectives
                return hypervolume_difference(self.record.axes, objectives, ours, theirs, rung)
        return None

    def _members(self, rung: Rung) -> dict[str, tuple[ItemResult, ...]]:
        """Results of the members on a rung by digest; empty unless all were scored on it."""
        found = {member.digest: self.results(member.trial, rung) for member in self.front().members}
        return found if all(found.values()) else {}

    def refuse_scored_otherwise(self, other: Run) -> None:
        """Refuse another run whose scores cannot be compared with those of this one.

        Raises:
            InputError: Its objectives, task data or scoring packages are others.
        """
        for name in ("objectives", "scoring", "data"):
            if self.record.fingerprints.get(name) != other.record.fingerprints.get(name):
                raise InputError(
                    f"its run was started with different {name}, so its scores cannot be compared",
                    where=other.folder.path,
                )

    def rows(self) -> list[dict[str, Any]]:
        """Return one flat mapping a trial: its state, scores on every rung, shares, parameters.

        An objective's search score stands under its name; `NAME.validate` and `NAME.proxy` are its
        scores on other rungs, and each has its standard error beside it, such as `NAME.stderr`.
        """
        return [_row(trial) for trial in self.trials()]

    def to_pandas(self) -> pd.DataFrame:
        """Return `rows` as a DataFrame with the trials' numbers as its index; needs pandas."""
        import pandas as pd

        return pd.DataFrame(self.rows()).set_index("trial")

    def write_recipes(self) -> None:
        """Write the recipe of each member of the front, and remove those of former members."""
        trials = self.trials()
        members = [member.trial for member in self.front().members]
        wanted = {self.folder.recipe(number): trials[number] for number in members}
        for path in self.folder.recipes.glob("trial-*.yaml"):
            if path not in wanted:
                path.unlink()
        for path, trial in wanted.items():
            write_text(path, recipe_header(trial, self.record) + self.recipe_of(trial).to_yaml())

    def _parents(self) -> list[str]:
        return list(dict.fromkeys(ref for trial in self.trials() for ref in trial.shares))

    def _alone(self, parent: str) -> TrialRecord:
        """The first complete trial of a parent alone."""
        complete = [trial for trial in self.trials() if trial.state is State.COMPLETE]
        alone = {trial.parent: trial for trial in reversed(complete) if trial.parent is not None}
        if parent not in alone:
            raise InputError(
                f"the run has no complete trial of {parent} alone",
                where=self.folder.path,
                expected=" or ".join(sorted(alone)) or None,
            )
        return alone[parent]

    def _complete(self, number: int) -> TrialRecord:
        trial = self.trial(number)
        if trial.state is not State.COMPLETE:
            raise InputError(f"trial {number} is {trial.state}", expected="a complete trial")
        return trial

    def results(self, number: int, rung: Rung) -> tuple[ItemResult, ...]:
        """Return the result of every item of a trial on a rung; empty where it has none."""
        with self._records() as records:
            return records.items(number, rung)

    def _records(self) -> RunRecords:
        return RunRecords.of(self.folder.study)

    def _read(self) -> _Reading:
        """What is on record now; estimating the trials takes long, so it is done once a state.

        A database on a server does not tell its state, and is read anew each time.
        """
        state = self.folder.database_state()
        if self._reading is None or not state or self._reading.state != state:
            with self._records() as records:
                trials = records.trials()
                self._reading = _Reading(state, trials, records.front(trials))
        return self._reading


@dataclass(frozen=True)
class _Reading:
    """What was on record in one state of the database."""

    state: tuple[tuple[int, int], ...]
    trials: tuple[TrialRecord, ...]
    front: Front


def _row(trial: TrialRecord) -> dict[str, Any]:
    row: dict[str, Any] = {
        "trial": trial.number,
        "state": trial.state,
        "failure": trial.failure,
        "started": trial.started,
        "seconds": trial.seconds,
        "digest": trial.candidate_digest,
        "size": trial.candidate_size,
        "reused_from": trial.reused_from,
    }
    for name, rung in trial.rungs.items():
        suffix = "" if name == Rung.SEARCH else f".{name}"
        for objective, score in rung.scores.items():
            row[objective + suffix] = score.value
            row[f"{objective}{suffix}.stderr"] = score.stderr
    row |= {f"share:{parent}": share for parent, share in trial.shares.items()}
    return row | {f"parameter:{name}": value for name, value in trial.parameters.items()}


def shared_rung(
    ours: Callable[[Rung], Sequence[ItemResult]], theirs: Callable[[Rung], Sequence[ItemResult]]
) -> Rung:
    """Return the rung on which two candidates have more items in common, search where none has.

    A search that scores on parts may have scored two trials on different items.

    Args:
        ours: Function that gives the first candidate's results on a rung, empty where it has none.
        theirs: The same of the second candidate.
    """

    def n_shared(rung: Rung) -> int:
        first, second = ({(item.task, item.item) for item in of(rung)} for of in (ours, theirs))
        return len(first & second)

    return max(ITEM_RUNGS, key=n_shared)


def recipe_header(trial: TrialRecord, run: RunRecord) -> str:
    """Return comment lines that say where a recipe comes from, what it is and what it scored."""
    lines = [f"mergesearch: trial {trial.number} of {run.name}", *trial.words]
    for rung, record in trial.rungs.items():
        if record.scores:
            lines.append(f"{rung} items: {scores_line(record.scores, run.axes, rung)}")
    lines.append(f"sha256 of the GGUF: {trial.candidate_digest}")
    if "parents" in run.fingerprints:
        lines.append(f"sha256 of the parents: {run.fingerprints['parents']}")
    lines.append(f"found by {run.sampler}, seed {run.seed}")
    lines.append(", ".join(f"{name} {version}" for name, version in run.versions.items()))
    return "".join(f"# {printable(' '.join(line.split()))}\n" for line in lines if line)
