"""Waiting for a database: for the lock of an SQLite file, and for a server that is away.

SQLite waits by itself, but deaf to signals. So it waits for half a second at a time, and in between
Python runs what signals ask for.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from mergesearch.errors import DatabaseAway

Result = TypeVar("Result")
Function = TypeVar("Function", bound=Callable[..., Any])
WAIT_SECONDS = 0.5
"""Seconds that are waited at a time."""
_log = logging.getLogger(__name__)


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


class ServerWait:
    """Waits for a server that is away, and does again what was asked of it meanwhile.

    Args:
        on_wait: Function that is called twice a second while it waits; what it raises ends the
            waiting. None: nothing is waited for.
    """

    def __init__(self, on_wait: Callable[[], None] | None = None) -> None:
        self._on_wait = on_wait
        self._inside = False

    def __call__(self, action: Callable[[], Result]) -> Result:
        """Return what an action gives, which may be done twice.

        An action inside of another is not done again by itself: the outer one is, as a whole.

        Raises:
            DatabaseAway: The server is away, and nothing is waited for.
        """
        if self._inside or self._on_wait is None:
            return action()
        self._inside = True
        try:
            return self._wait_for(action, self._on_wait)
        finally:
            self._inside = False

    def _wait_for(self, action: Callable[[], Result], on_wait: Callable[[], None]) -> Result:
        said = False
        while True:
            try:
                return action()
            except DatabaseAway as error:
                if not said:
                    _log.warning("waiting for the database: %s", error.what)
                    said = True
            on_wait()
            time.sleep(WAIT_SECONDS)


def waits_for_server(method: Function) -> Function:
    """Let a method that may be done twice wait for a server; its object has a `server_wait`."""

    @wraps(method)
    def wait(self: Any, *args: Any, **kwargs: Any) -> Any:
        server_wait: ServerWait = self.server_wait
        return server_wait(lambda: method(self, *args, **kwargs))

    return cast(Function, wait)
