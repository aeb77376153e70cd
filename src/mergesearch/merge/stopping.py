"""When a build ends before it is done."""

from __future__ import annotations

import threading

from mergesearch.errors import Interrupted


class Stopping:
    """Ends the reading of blocks, soon: a block takes milliseconds.

    Args:
        asked: Event that somebody else sets; None where nobody does.
    """

    def __init__(self, asked: threading.Event | None = None) -> None:
        self._events = [threading.Event()] if asked is None else [threading.Event(), asked]

    def stop(self) -> None:
        """End this build alone."""
        self._events[0].set()

    def check(self) -> None:
        """Return, unless somebody has ended the build.

        Raises:
            Interrupted: Somebody has.
        """
        if any(event.is_set() for event in self._events):
            raise Interrupted("the build was stopped")
