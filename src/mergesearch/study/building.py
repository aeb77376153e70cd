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
        self._thread = ThreadPoolExecutor(1, "build")  # kept: to start one takes memory
        self._stop = threading.Event()
        self._started: tuple[Recipe, Future[Built]] | None = None

    def start(self, recipe: Recipe) -> None:
        """Start building, in place of anything that was started before."""
        self._discard()
        self._stop = threading.Event()
        self._started = recipe, self._thread.submit(self._run, recipe, self._stop)

    def build(self, recipe: Recipe) -> Built:
        """Return a recipe's finished candidate, which the caller closes, started before or now.

        Raises:
            What building raises.
        """
        if self._started is None or self._started[0] != recipe:
            self.start(recipe)
        assert self._started is not None
        _, future = self._started
        while wait([future], _TURN).not_done:
            pass  # an interruption leaves it to `close`
        self._started = None
        return future.result()

    def close(self) -> None:
        """Stop what was started and give its memory back; may be called again."""
        self._discard()
        self._thread.shutdown()

    def _run(self, recipe: Recipe, stop: threading.Event) -> Built:
        start = time.perf_counter()
        candidate = self._build(recipe, stop)
        return Built(candidate, time.perf_counter() - start)

    def _discard(self) -> None:
        """Stop, wait for the end, and close the candidate where there is one already."""
        self._stop.set()
        if self._started is None:
            return
        _, future = self._started
        if not future.cancel() and future.exception() is None:
            with future.result().candidate:
                pass
        self._started = None
