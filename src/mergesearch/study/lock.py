"""One run at a time in a run folder, by an advisory lock that ends with its process."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mergesearch.errors import RunFolderError

LOCK_NAME = ".lock"
_TRIES = 5


@contextmanager
def run_lock(folder: Path) -> Iterator[None]:
    """Hold the folder's lock.

    Raises:
        RunFolderError: another process holds it.
    """
    with open(folder / LOCK_NAME, "a") as file:
        # `is_running` holds the lock for an instant: look again before giving up.
        if not any(_take(file.fileno(), fcntl.LOCK_EX, wait=0.1) for _ in range(_TRIES)):
            raise RunFolderError(
                "another run is at work in it",
                where=folder,
                fix="wait for it, stop it, or name another --out",
            )
        yield


def is_running(folder: Path) -> bool:
    """Whether a run is at work in the folder now."""
    try:
        descriptor = os.open(folder / LOCK_NAME, os.O_RDONLY)
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
