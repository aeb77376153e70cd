"""How long the scoring process may say nothing before it is taken to hang."""

from __future__ import annotations

from multiprocessing.connection import Connection
from typing import Any

from mergesearch.errors import ScorerHung

FIRST_SECONDS = 7200.0
"""Longest silence before any candidate was scored: one chunk of a large model on a slow machine."""
LEAST_SECONDS = 120.0
"""Shortest limit, for machines that have much else to do."""
TIMES = 20
"""How many times longer than ever before a silence may be."""
_TURNS = 10  # a run that was stopped with all its processes loses one of them


class SilenceLimit:
    """Waits for messages, for a multiple of the longest silence in what ended well."""

    def __init__(self) -> None:
        self._longest: float | None = None

    @property
    def seconds(self) -> float:
        """Longest silence that is waited for."""
        if self._longest is None:
            return FIRST_SECONDS
        return max(LEAST_SECONDS, TIMES * self._longest)

    def learn(self, silence: float) -> None:
        """Take note of the longest silence in something that ended well."""
        self._longest = max(silence, self._longest or 0.0)

    def receive(self, connection: Connection) -> Any:
        """Return the next message.

        Raises:
            ScorerHung: There is none for too long.
            EOFError, OSError: The other end has closed.
        """
        seconds = self.seconds
        for _ in range(_TURNS):
            if connection.poll(seconds / _TURNS):
                return connection.recv()
        known = "" if self._longest is None else f", {TIMES} times as long as ever before"
        raise ScorerHung(f"the scoring process said nothing for {seconds:.0f} s{known}")
