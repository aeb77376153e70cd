"""Building one candidate at a time, in a thread: the next one while another is scored.

A thread also where nothing overlaps: the main one then only waits, so that a signal need not wait
for the statistics of a large tensor.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from mergesearch._system.closing import Closing
from mergesearch.recipe import Recipe
from mergesearch.study.settings import BuildFunction, BuiltCandidate

_TURN = 0.2  # seconds; Python handles a signal that comes right before a wait only after it


@dataclass(frozen=True)
class Built:
    """A candidate, and the seconds that building it took."""

    candidate: BuiltCandidate
    seconds: float


class Builder(Closing):
    """Builds candidates; a context manager that stops and closes what nobody took.

    Args:
        build: Function of a recipe and an event that returns a candidate; it raises soon after the
            event is set.
    """

    def __init__(self, build: BuildFunction) -> None:
        self._build = build
        self._started: _Building | None = None
        self._thread = ThreadPoolExecutor(1, "build")  # kept: to start one takes memory

    def start(self, recipe: Recipe) -> None:
        """Start building, in place of anything that was started before."""
        self._discard()
        self._started = _Building(self._build, recipe)
        self._started.start(self._thread)

    def build(self, recipe: Recipe) -> Built:
        """Return a recipe's finished candidate, which the caller closes, started before or now.

        Raises:
            What building raises.
        """
        if self._started is None or self._started.recipe != recipe:
            self.start(recipe)
        started = self._started
        assert started is not None
        assert started.future is not None
        while wait([started.future], _TURN).not_done:
            pass  # an interruption leaves it to `close`
        self._started = None
        return started.future.result()

    def close(self) -> None:
        """Stop what was started and give its memory back; may be called again."""
        self._discard()
        self._thread.shutdown()

    def _discard(self) -> None:
        if self._started is not None:
            self._started.discard()
            self._started = None


class _Building:
    """One build in another thread; signals reach the main thread only."""

    def __init__(self, build: BuildFunction, recipe: Recipe) -> None:
        self.recipe = recipe
        self.future: Future[Built] | None = None
        self._build = build
        self._stop_event = threading.Event()

    def start(self, thread: ThreadPoolExecutor) -> None:
        """Let a thread build."""
        self.future = thread.submit(self._run)

    def _run(self) -> Built:
        start = time.perf_counter()
        candidate = self._build(self.recipe, self._stop_event)
        return Built(candidate, time.perf_counter() - start)

    def discard(self) -> None:
        """Stop, wait for the end, and close the candidate where there is one already."""
        self._stop_event.set()
        if self.future is None or self.future.cancel():  # a signal came before it started
            return
        if self.future.exception() is None:
            with self.future.result().candidate:
                pass
