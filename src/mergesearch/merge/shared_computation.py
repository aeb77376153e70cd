"""A result that several threads wait for, and help to compute while they wait."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any


class SharedComputation:
    """Computes one result on the first thread that asks, with the hands of all that ask meanwhile.

    `compute` is given a `map` whose calls are shared out: whoever waits for the result takes the
    next one. What it returns comes in the order of the items and does not depend on the threads.
    """

    def __init__(self, compute: Callable[[Callable[..., Iterable[Any]]], Any]) -> None:
        self._compute = compute
        self._first = threading.Lock()
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._result: Future[Any] = Future()

    def result(self) -> Any:
        """Return the result; a thread that finds it unfinished helps.

        Raises:
            Whatever `compute` raises, on every thread.
        """
        if self._first.acquire(blocking=False):
            _run(self._result, self._compute, self._map)
            self._work.put(None)
        while not self._result.done() and (piece := self._work.get()) is not None:
            piece()
        self._work.put(None)  # ends the wait of the next thread, too
        return self._result.result()

    def _map(self, function: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
        futures = []
        for item in items:
            futures.append(Future[Any]())
            self._work.put(partial(_run, futures[-1], function, item))
        try:
            while (piece := self._work.get_nowait()) is not None:
                piece()
        except Empty:
            pass
        return [future.result() for future in futures]


def _run(future: Future[Any], function: Callable[[Any], Any], item: Any) -> None:
    try:
        future.set_result(function(item))
    except BaseException as error:
        future.set_exception(error)
