"""Locks: one process works on a run, or several of which one at a time has a turn.

In a turn a worker does what only one may do at a time, such as to propose and start a trial. Each
lock ends with its process, however that ends: it is on a file, or on a row of a server's database.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import TextIO

import sqlalchemy as sa

from mergesearch.errors import MergeSearchError, RunFolderError
from mergesearch.study.ledger.sharing import TERMS

Check = Callable[[], None]
"""Raises `DatabaseAway` where a turn was lost with the connection to a server."""
Turns = Callable[[], AbstractContextManager[Check]]
"""Gives a context that one worker at a time is in, and its check."""

_TRIES = 5
_TRY_SECONDS = 0.1
_FILE_POLL_SECONDS = 0.05
_SERVER_POLL_SECONDS = 0.2
_STARTED = "A run was started here.\n"


class RunLock:
    """The lock of a run, while it is held; its file also says whether a run was ever on record."""

    def __init__(self, path: Path, file: TextIO) -> None:
        self._path = path
        self._file = file

    def mark_started(self) -> None:
        """Note that a run is on record, so that a lost database is not taken for a new run."""
        if not was_started(self._path):
            self._file.write(_STARTED)
            self._file.flush()
            os.fsync(self._file.fileno())

    def check(self) -> None:
        """Refuse to work on in a folder that is now another one, or gone.

        Raises:
            MergeSearchError: The folder was removed or renamed.
        """
        try:
            same = os.path.samestat(os.stat(self._path), os.fstat(self._file.fileno()))
        except OSError:
            same = False
        if not same:
            raise MergeSearchError(
                "the run folder was removed or renamed while the run was at work in it",
                where=self._path.parent,
                fix="if it was renamed, resume it under its new name: search run --out NEW_NAME",
            )


def was_started(path: Path) -> bool:
    """Whether a run was ever on record beside the lock's file."""
    return path.is_file() and path.stat().st_size > 0


@contextmanager
def run_lock(path: Path) -> Iterator[RunLock]:
    """Hold the lock of a run, making its file where it is missing.

    Raises:
        RunFolderError: Another process holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a") as file:
        for _ in range(_TRIES):
            if _take(file.fileno()):
                break
            time.sleep(_TRY_SECONDS)  # `is_running` holds the lock for an instant
        else:
            raise RunFolderError(
                "another run is at work in it",
                where=path.parent,
                fix="wait for it, stop it, or name another --out",
            )
        yield RunLock(path, file)


def is_running(path: Path) -> bool:
    """Whether a process holds the lock of a run now."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        return not _take(descriptor, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)


def file_turns(path: Path, on_wait: Callable[[], None]) -> Turns:
    """Return turns by a lock on a file, which is made where it is missing.

    Args:
        on_wait: Function that is called while another worker has its turn.
    """

    @contextmanager
    def turn() -> Iterator[Check]:
        with open(path, "a") as file:
            while not _take(file.fileno()):
                on_wait()
                time.sleep(_FILE_POLL_SECONDS)
            yield lambda: None

    return turn


def server_turns(engine: sa.Engine, run_id: int, on_wait: Callable[[], None]) -> Turns:
    """Return turns by a lock on the row of a run's terms.

    Args:
        on_wait: Function that is called while another worker has its turn.
    """
    row = sa.select(TERMS.c.run_id).where(TERMS.c.run_id == run_id)
    free_row = row.with_for_update(skip_locked=True)

    def check(connection: sa.Connection) -> None:
        connection.execute(row)

    @contextmanager
    def turn() -> Iterator[Check]:
        while True:
            with engine.begin() as connection:
                if connection.execute(free_row).scalar() is not None:
                    yield partial(check, connection)
                    check(connection)
                    return
            on_wait()
            time.sleep(_SERVER_POLL_SECONDS)

    return turn


def _take(descriptor: int, kind: int = fcntl.LOCK_EX) -> bool:
    """Take a lock on an open file, unless another process has it."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
