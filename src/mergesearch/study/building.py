"""Building one candidate at a time, in a thread: the next one while another is scored.

A thread also where nothing overlaps: the main one then only waits, so that a signal need not wait
for the statistics of a large tensor.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, wait
from dataclasses import dataclass

from mergesearch._system.closing import Closing
from mergesearch.recipe import Recipe
from mergesearch.study.settings import Build, Candidate

_TURN = 0.2  # seconds; Python handles a signal that comes right before a wait only after it


@dataclass(frozen=True)
class Built:
    """A candidate, and the seconds that building it took."""

    candidate: Candidate
    seconds: float


class Builder(Closing):
    """Builds candidates; a context manager that stops and closes what nobody took.

    Args:
        build: recipe and event -> candidate; raises soon after the event is set.
    """

    def __init__(self, build: Build) -> None:
        self._build = build
        self._started: _Building | None = None

    def start(self, recipe: Recipe) -> None:
        """Start building, in the place of anything that was started before."""
        self.close()
        self._started = _Building(self._build, recipe)
        self._started.start()

    def build(self, recipe: Recipe) -> Built:
        """Return a recipe's finished candidate, which the caller closes, started before or now.

        Raises:
            What building raises.
        """
        if self._started is None or self._started.recipe != recipe:
            self.start(recipe)
        started = self._started
        assert started is not None
        while wait([started.future], _TURN).not_done:
            pass  # an interruption leaves it to `close`
        self._started = None
        return started.future.result()

    def close(self) -> None:
        """Stop what was started and give its memory back; may be called again."""
        if self._started is not None:
            self._started.discard()
            self._started = None


class _Building(threading.Thread):
    """One build in a thread of its own; signals reach the main thread only."""

    def __init__(self, build: Build, recipe: Recipe) -> None:
        super().__init__(name="build")
        self.recipe = recipe
        self.future: Future[Built] = Future()
        self._build = build
        self._stop_event = threading.Event()

    def run(self) -> None:
        start = time.perf_counter()
        try:
            candidate = self._build(self.recipe, self._stop_event)
            self.future.set_result(Built(candidate, time.perf_counter() - start))
        except BaseException as error:
            self.future.set_exception(error)

    def discard(self) -> None:
        """Stop, wait for the end, and close the candidate where there is one already."""
        self._stop_event.set()
        if self.ident is None:  # a signal came before it started
            return
        self.join()
        if self.future.exception() is None:
            with self.future.result().candidate:
                pass
