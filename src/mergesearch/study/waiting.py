"""Connections to an SQLite file that wait for its lock as long as it takes, and can be interrupted.

SQLite waits by itself, but deaf to signals. So it waits for half a second at a time, and in between
Python runs what signals ask for.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any, TypeVar

Result = TypeVar("Result")
WAIT_SECONDS = 0.5
"""Seconds that SQLite waits at a time."""


class WaitingConnection(sqlite3.Connection):
    """A connection whose statements wait until no other process holds the lock."""

    on_wait: Callable[[], None] = staticmethod(lambda: None)
    """Called after every half second; what it raises ends the waiting."""

    def cursor(self, factory: Any = None) -> Any:
        """Return a cursor that waits too."""
        return super().cursor(factory or _WaitingCursor)

    def commit(self) -> None:
        """Commit once the lock is free."""
        self.wait(super().commit)

    def wait(self, action: Callable[..., Result], *arguments: Any) -> Result:
        """Do something once the lock is free.

        Raises:
            sqlite3.Error: It fails for another reason, or would wait for itself.
        """
        while True:
            try:
                return action(*arguments)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                    raise
            self.on_wait()


class _WaitingCursor(sqlite3.Cursor):
    connection: WaitingConnection

    def execute(self, *arguments: Any) -> Any:
        return self.connection.wait(super().execute, *arguments)

    def executemany(self, *arguments: Any) -> Any:
        return self.connection.wait(super().executemany, *arguments)


def waiting(on_wait: Callable[[], None]) -> type[WaitingConnection]:
    """Return a class of connections that call something while they wait."""
    return type("Waiting", (WaitingConnection,), {"on_wait": staticmethod(on_wait)})
