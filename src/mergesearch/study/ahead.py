"""Building one candidate at a time, the next one in a thread while another is scored."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, wait
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from mergesearch.recipe import Recipe
from mergesearch.study.settings import Build, Candidate

_TURN = 0.2  # seconds; Python handles a signal that comes right before a wait only after it


@dataclass(frozen=True)
class Built:
    """A candidate, and the seconds that building it took."""

    candidate: Candidate
    seconds: float


class Builder:
    """Builds candidates; a context manager that stops and closes what nobody took.

    Args:
        build: recipe and event -> candidate; raises soon after the event is set.
    """

    def __init__(self, build: Build) -> None:
        self._build = build
        self._ahead: _Ahead | None = None

    def start(self, recipe: Recipe) -> None:
        """Begin building in a thread, in the place of anything that was begun before."""
        self.close()
        self._ahead = _Ahead(self._build, recipe)
        self._ahead.start()

    def build(self, recipe: Recipe) -> Built:
        """Return a recipe's candidate, which the caller closes.

        It is the one that was begun, once it is finished; where another was, that one is stopped.

        Raises:
            What building raises, wherever it happened.
        """
        ahead = self._ahead
        if ahead is None or ahead.recipe != recipe:
            self.close()
            return _built(self._build, recipe, threading.Event())
        while wait([ahead.future], _TURN).not_done:
            pass  # an interruption leaves it to `close`
        self._ahead = None
        return ahead.future.result()

    def close(self) -> None:
        """Stop what is being built ahead and give its memory back; may be called again."""
        if self._ahead is not None:
            self._ahead.discard()
            self._ahead = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class _Ahead(threading.Thread):
    """One build in a thread of its own; signals reach the main thread only."""

    def __init__(self, build: Build, recipe: Recipe) -> None:
        super().__init__(name="build ahead")
        self.recipe = recipe
        self.future: Future[Built] = Future()
        self._build = build
        self._stop_event = threading.Event()

    def run(self) -> None:
        try:
            self.future.set_result(_built(self._build, self.recipe, self._stop_event))
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


def _built(build: Build, recipe: Recipe, stop: threading.Event) -> Built:
    begun = time.perf_counter()
    candidate = build(recipe, stop)
    return Built(candidate, time.perf_counter() - begun)
