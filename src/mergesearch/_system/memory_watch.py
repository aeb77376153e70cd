"""How much memory a run takes, looked at while it works (Linux)."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from mergesearch._system.closing import Closing

INTERVAL_SECONDS = 0.5
_FILES_IN_MEMORY = "/memfd:"


def memory_of(processes: Iterable[int]) -> int:
    """Return the bytes of memory that only some processes take; 0 where the system hides it.

    Mapped files do not count, as the system drops their pages when memory is short.
    """
    return sum(_anonymous(process) for process in processes)


def files_in_memory() -> int:
    """Return the bytes of this process's files that lie in memory, such as candidates."""
    total = 0
    with suppress(OSError):
        for name in os.listdir("/proc/self/fd"):
            with suppress(OSError):
                link = Path("/proc/self/fd", name)
                if os.readlink(link).startswith(_FILES_IN_MEMORY):
                    total += 512 * link.stat().st_blocks
    return total


def _anonymous(process: int) -> int:
    try:
        lines = Path(f"/proc/{process}/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    found = [line.split()[1] for line in lines if line.startswith("RssAnon:")]
    return 1024 * int(found[0]) if found else 0


class MemoryWatch(Closing):
    """Looks twice a second at what this process and some others take; a context manager.

    Args:
        limit: Bytes that they may take together.
        others: Function that returns the ids of the other processes.
        exceeded: Function that is called with the bytes, whenever they are more.
    """

    def __init__(
        self,
        limit: int,
        others: Callable[[], Iterable[int]],
        exceeded: Callable[[int], None],
    ) -> None:
        self._limit = limit
        self._others = others
        self._exceeded = exceeded
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, name="memory", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop looking; may be called again."""
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(INTERVAL_SECONDS):
            used = memory_of([os.getpid(), *self._others()]) + files_in_memory()
            if used > self._limit:
                self._exceeded(used)
