"""How far a piece of work is: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from mergesearch.report import text
from mergesearch.report.terminal import SafeConsole, redraws

OnProgress = Callable[[int, int], None]
"""Takes how many parts of the work are done, and how many there are."""
QUIET_SECONDS = 10.0
"""Time between two lines where there is no terminal."""


@contextmanager
def progress(what: str, unit: str) -> Iterator[OnProgress]:
    """Show on standard error how far a piece of work is; yields a function that takes it.

    On a terminal a bar goes away at the end. Elsewhere there is a line every ten seconds, so that
    what is over at once says nothing.

    Args:
        what: The work, such as `building`.
        unit: Plural noun of its parts, such as `items`.
    """
    console = SafeConsole(stderr=True)
    if not redraws(console):
        yield _lines(what, unit, time.monotonic)
        return
    columns = (
        TextColumn(what),
        BarColumn(bar_width=40),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeElapsedColumn(),
        TextColumn("so far,"),
        TimeRemainingColumn(),
        TextColumn("left"),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def steps() -> Iterator[Callable[[str], None]]:
    """Show on standard error what is being done; yields a function that takes each step.

    On a terminal a line with the time goes away at the end; elsewhere each step is a line.
    """
    console = SafeConsole(stderr=True)
    if not redraws(console):
        yield lambda step: print(f"{step} ...", file=sys.stderr, flush=True)
        return
    with _spinner(console) as bar:
        task = bar.add_task("starting", total=None)
        yield lambda step: bar.update(task, description=step)


@contextmanager
def working(what: str, seconds: float = 1.0) -> Iterator[None]:
    """Say on a terminal's standard error what is being done, while it takes more than a second.

    Args:
        what: The work, such as `reading the run`.
        seconds: Time after which it is said.
    """
    console = SafeConsole(stderr=True)
    if not redraws(console):
        yield
        return
    bar = _spinner(console)
    bar.add_task(what, total=None)
    timer = threading.Timer(seconds, bar.start)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        bar.stop()


def _spinner(console: SafeConsole) -> Progress:
    what = TextColumn("{task.description}", markup=False)
    return Progress(SpinnerColumn(), what, TimeElapsedColumn(), console=console, transient=True)


def _lines(what: str, unit: str, clock: Callable[[], float]) -> OnProgress:
    """Return what prints a line now and then; it may be called from any thread."""
    started = last = clock()
    lock = threading.Lock()

    def told(done: int, total: int) -> None:
        nonlocal last
        with lock:
            now = clock()
            if now - last < QUIET_SECONDS:
                return
            last = now
        elapsed = now - started
        left = text.duration(elapsed / done * (total - done)) if done else "?"
        print(
            f"{what}: {done}/{total} {unit}, {text.duration(elapsed)} so far, {left} left",
            file=sys.stderr,
            flush=True,
        )

    return told
