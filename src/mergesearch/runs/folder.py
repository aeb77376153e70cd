"""A run folder: the name of everything in it, and what is read and written besides the study."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter

from mergesearch._system.documents import parse_json
from mergesearch._system.files import read_text, write_json
from mergesearch.errors import RunFolderError
from mergesearch.runs.goal import Goal
from mergesearch.study.settings import StudyFiles
from mergesearch.study.warm_start import WarmStart


@dataclass(frozen=True)
class Storage:
    """The place of a study in a database on a server.

    Attributes:
        address: URL of the database, without a password.
        study: Name of the study.
    """

    address: str
    study: str


Document = TypeVar("Document")
_STORAGE, _GOAL = TypeAdapter(Storage), TypeAdapter(Goal)
_PINS = TypeAdapter(dict[str, str])


class _Entry:
    """A file or a folder in a run folder, by its name."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, folder: RunFolder, kind: type[RunFolder]) -> Path:
        return folder.path / self._name


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run. No other module knows the name of a file in it.

    Attributes:
        path: Path of the folder.
    """

    path: Path

    database = _Entry("study.db")
    """SQLite file with the study and the ledger."""
    lock = _Entry(".lock")
    """File that a working run holds locked."""
    storage = _Entry("storage.json")
    """Where the study is, if its database is on a server."""
    space = _Entry("space.yaml")
    """Space file as it was when the run started."""
    objectives = _Entry("objectives.yaml")
    """Objectives file as it was when the run started."""
    pins = _Entry("parents.json")
    """Commits of the parents that come from the hub."""
    goal = _Entry("goal.json")
    """What ends the search, as it was asked for last."""
    warm_start = _Entry("warm_start.json")
    """What the run took from another one."""
    log = _Entry("run.log")
    """Log of the run and of its scoring process."""
    partial = _Entry("partial")
    """Folder with the finished chunks of the candidate that is being scored."""
    front = _Entry("front.json")
    """Front as JSON, written when a run ends."""
    recipes = _Entry("recipes")
    """Folder with the recipe of each member of the front."""
    report = _Entry("report.html")
    """Report for a browser."""
    importances = _Entry("importances.json")
    """Importances of the dimensions, as they were computed last."""
    questions = _Entry("questions.json")
    """What items ask, as far as somebody has looked at them."""
    sweep = _Entry("sweep")
    """Folder of the sweep that the run is compared with, which is a run folder too."""

    @property
    def name(self) -> str:
        """The folder's name, links followed; bytes that are no text are written as `\\xff`."""
        name = os.path.basename(os.path.realpath(self.path))  # `resolve` fails at a loop of links
        return os.fsencode(name).decode(errors="backslashreplace")

    @property
    def study(self) -> StudyFiles:
        """Files of the study; a new one is in the folder, and named after it."""
        return self.study_in(self.read_storage())

    def study_in(self, storage: Storage | None) -> StudyFiles:
        """Return the files of a study whose database is on a server, or in the folder for None."""
        from mergesearch.study.database import sqlite_url  # loads Optuna and SQLAlchemy

        return StudyFiles(
            database=sqlite_url(self.database) if storage is None else storage.address,
            name=self.name if storage is None else storage.study,
            front=self.front,
            lock=self.lock,
        )

    @property
    def needed(self) -> tuple[Path, ...]:
        """Files of a run that it resumes from; none in a folder without a run."""
        own = (self.database, self.storage, self.space, self.objectives, self.pins, self.goal)
        return own if self.holds_run() else ()

    def recipe(self, trial: int) -> Path:
        """Return the path of the recipe of a member of the front."""
        return self.recipes / f"trial-{trial}.yaml"

    def database_state(self) -> tuple[tuple[int, int], ...]:
        """Return sizes and times of the database's files, which change with all that is recorded.

        There are none of a database on a server.
        """
        log = self.database.with_name(f"{self.database.name}-wal")
        found = [path.stat() for path in (self.database, log) if path.is_file()]
        return tuple((status.st_size, status.st_mtime_ns) for status in found)

    def holds_run(self) -> bool:
        """Whether a run was started in the folder."""
        return self.database.is_file() or self.storage.is_file()

    def read_storage(self) -> Storage | None:
        """Return where the study is if its database is on a server, else None.

        Raises:
            RunFolderError: The file that says so is damaged.
        """
        return _read(self.storage, _STORAGE.validate_python, "not the place of a study")

    def write_storage(self, storage: Storage) -> None:
        """Record where the study is."""
        write_json(self.storage, asdict(storage))

    def read_pins(self) -> dict[str, str]:
        """Return the commits that parents are pinned to: id -> `ID@COMMIT`.

        Raises:
            RunFolderError: The file with them is damaged.
        """
        what = "not a mapping from ids to pinned ids"
        return _read(self.pins, _PINS.validate_python, what) or {}

    def write_pins(self, pins: Mapping[str, str]) -> None:
        """Record the commits that parents are pinned to, where any is."""
        pinned = {ref: pin for ref, pin in pins.items() if ref != pin}
        if pinned:
            write_json(self.pins, pinned)

    def read_goal(self) -> Goal | None:
        """Return what ends the search, None where that is not on record.

        Raises:
            RunFolderError: The file with it is damaged.
        """
        fix = "remove it, and name a goal"
        return _read(self.goal, _GOAL.validate_python, "not the goal of a run", fix)

    def write_goal(self, goal: Goal) -> None:
        """Record what ends the search."""
        write_json(self.goal, _GOAL.dump_python(goal, mode="json"))

    def read_warm_start(self) -> WarmStart | None:
        """Return what the run took from another one, None where it took nothing.

        Raises:
            RunFolderError: The file with it is damaged.
        """
        return _read(self.warm_start, WarmStart.from_dict, "not what a run took")

    def refuse_foreign(self) -> None:
        """Refuse a place that is neither free nor a run's.

        Raises:
            RunFolderError: It is a file, or a folder that holds something else.
        """
        from mergesearch.study.locks import was_started  # loads SQLAlchemy

        if self.path.exists() and not self.path.is_dir():
            raise RunFolderError("it is a file", where=self.path, fix="name another folder")
        if not self.holds_run() and was_started(self.lock):
            raise RunFolderError(
                f"a run was started here, but its {self.database.name} is gone",
                where=self.path,
                fix="restore it, with study.db-wal, from a copy; or name another folder",
            )
        if self.path.exists() and not self.holds_run() and any(self.path.iterdir()):
            raise RunFolderError(
                "it is not empty and holds no run", where=self.path, fix="name another folder"
            )

    @contextmanager
    def made(self) -> Iterator[None]:
        """Make the folder and its log; where no run has started in the end, remove them again.

        Raises:
            RunFolderError: The folder cannot be written.
        """
        existed = self.path.exists()
        self.make()
        try:
            yield
        finally:
            if not self.holds_run():
                for file in (self.log, self.space, self.objectives, self.pins, self.goal):
                    file.unlink(missing_ok=True)
                self.warm_start.unlink(missing_ok=True)
                if not existed:
                    self.path.rmdir()

    def make(self) -> None:
        """Make the folder and its log.

        Raises:
            RunFolderError: The folder cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self.log.touch()
        except OSError as error:
            raise RunFolderError(f"cannot be written: {error.strerror}", where=self.path) from error


def _read(
    path: Path, parse: Callable[[Any], Document], what: str, fix: str | None = None
) -> Document | None:
    """What a file holds, None where there is no file; `what` says what a damaged one is not."""
    if not path.is_file():
        return None
    document = parse_json(read_text(path).encode(), path, RunFolderError)
    try:
        return parse(document)
    except (ValueError, TypeError, KeyError) as error:
        raise RunFolderError(what, where=path, fix=fix) from error
