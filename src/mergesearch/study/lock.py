"""One process at a time works on a run: an advisory lock that ends with its process."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mergesearch.errors import RunFolderError

_TRIES = 5


@contextmanager
def run_lock(path: Path) -> Iterator[None]:
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
        yield


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
