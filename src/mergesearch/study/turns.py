"""Turns: what only one worker of a run may do at a time, such as to propose and start a trial.

A turn ends with its process, however that ends: it is a lock on a file where the database is one,
and a locked row where it is on a server.
"""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

import sqlalchemy as sa

from mergesearch.study.ledger.sharing import TERMS

Check = Callable[[], None]
"""Raises `DatabaseAway` where a turn was lost with the connection to a server."""
Turns = Callable[[], AbstractContextManager[Check]]
"""Gives a context that one worker at a time is in, and its check."""
_FILE_POLL_SECONDS = 0.05
_SERVER_POLL_SECONDS = 0.2


def file_turns(path: Path, on_wait: Callable[[], None]) -> Turns:
    """Return turns by a lock on a file, which is made where it is missing.

    Args:
        on_wait: Function that is called while another worker has its turn.
    """

    @contextmanager
    def turn() -> Iterator[Check]:
        with open(path, "a") as file:
            while not _lock(file.fileno()):
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


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
