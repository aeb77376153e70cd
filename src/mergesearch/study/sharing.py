"""Sharing a run: what a worker needs to join it stands in its database."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from mergesearch.errors import RunFolderError
from mergesearch.study.database import Database, is_file, location, runs_of
from mergesearch.study.ledger.sharing import Sharing
from mergesearch.study.reading import RunRecords
from mergesearch.study.recording import RunRecorder
from mergesearch.study.records import RunRecord
from mergesearch.study.settings import Search, StudyFiles, StudySettings
from mergesearch.study.stopping import StopRule


@dataclass(frozen=True)
class Terms:
    """What workers need to know besides what the run is.

    Attributes:
        rule: When no further trial is started.
        confirm: Share of all item scores that confirms the front.
        pins: Commits of the parents that come from the hub: id -> `ID@COMMIT`.
        task_folder: Path of the task folder below the bundled objectives; None where it is not
            bundled.
        warm_start: What the run took from another one, None for nothing.
    """

    rule: StopRule
    confirm: float
    pins: Mapping[str, str] = field(default_factory=dict)
    task_folder: str | None = None
    warm_start: Mapping[str, Any] | None = None

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Terms:
        """Return the terms that `to_dict` gave."""
        return cls(**{**document, "rule": StopRule(**document["rule"]).from_now_on()})

    def to_dict(self) -> dict[str, Any]:
        """Return the terms as the database keeps them."""
        return asdict(self)


def share_study(
    files: StudyFiles,
    search: Search,
    settings: StudySettings,
    terms: Terms,
    on_wait: Callable[[], None],
) -> None:
    """Put a run on record, or its new terms, so that workers can join it.

    Args:
        on_wait: Function that is called while another process holds the database locked.

    Raises:
        RunFolderError: The run on record is another search's, or the database cannot be used.
        InputError: An unknown sampler.
    """
    with RunRecorder.start(files, search, settings, on_wait) as recorder:
        recorder.sharing().publish(terms.to_dict())
        if is_file(files.database):  # whoever holds its lock knows that nobody else is there
            recorder.sharing().leave()


def is_shared(url: str, name: str) -> bool:
    """Whether a run is on record by now that workers may join.

    Args:
        url: SQLAlchemy URL of the database.
        name: Name of the run.

    Raises:
        RunFolderError: Another version of mergesearch wrote the database.
        DatabaseAway: The server cannot be reached.
    """
    known = runs_of(url, name)
    if not known:
        return False
    with Database.open(url) as database:
        return Sharing(database.engine, min(known)).terms() is not None


def shared_run(url: str, name: str) -> tuple[RunRecord, Terms]:
    """Return a run that workers may join, and its terms.

    Args:
        url: SQLAlchemy URL of the database.
        name: Name of the run.

    Raises:
        RunFolderError: There is no such run, or it is not shared.
        DatabaseAway: The server cannot be reached.
    """
    with RunRecords.open(url, name) as records:
        terms = records.sharing().terms()
        if terms is None:
            raise RunFolderError(
                f"the run {name} is not shared", where=location(url), fix="start it with --storage"
            )
        return records.run(), Terms.from_dict(terms)


def lose_process(url: str, name: str, host: str, pid: int) -> None:
    """Record that a process has ended which was perhaps a worker of a run.

    Raises:
        StorageError: The database cannot be used; the other workers find out by its silence.
    """
    known = runs_of(url, name)
    with Database.create(url) as database:
        for run_id in known:
            Sharing(database.engine, run_id).leave(host=host, pid=pid)
