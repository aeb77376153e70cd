"""One process at a time works on a run: an advisory lock that ends with its process.

The lock's file also says whether a run was ever on record beside it.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from mergesearch.errors import MergeSearchError, RunFolderError

_TRIES = 5


_STARTED = "A run was started here.\n"


class RunLock:
    """The lock of a run, while it is held."""

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
        # `is_running` holds the lock for an instant: look again before giving up.
        if not any(_take(file.fileno(), fcntl.LOCK_EX, wait=0.1) for _ in range(_TRIES)):
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
        return not _take(descriptor, fcntl.LOCK_SH, wait=0)
    finally:
        os.close(descriptor)


def _take(descriptor: int, kind: int, wait: float) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        time.sleep(wait)
        return False
    return True
