"""Processes that this one starts: how it speaks to them, and where what they print goes."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import threading
import time
from contextlib import suppress
from multiprocessing.connection import Connection, Pipe
from pathlib import Path

from mergesearch._system.closing import Closing
from mergesearch._system.terminal import printable

_LONGEST_LINE = 1 << 16
_DRAIN_SECONDS = 1.0


def start_child(
    module: str, output: EscapedLog | None, *, start_new_session: bool = False
) -> tuple[subprocess.Popen[bytes], Connection]:
    """Start `python -m MODULE FD`; return its process, and the other end of its connection `FD`.

    Args:
        module: Module of this very package, which the child imports too.
        output: Log of what the child prints; None: that goes nowhere.
        start_new_session: Whether Ctrl-C does not reach the child.
    """
    source = str(Path(__file__).resolve().parents[2])
    paths = [source, *filter(None, [os.environ.get("PYTHONPATH")])]
    printed = subprocess.DEVNULL if output is None else output.fileno()
    ours, theirs = Pipe()
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", module, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=printed,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            start_new_session=start_new_session,
        )
    return process, ours


class EscapedLog(Closing):
    """A pipe whose lines are appended to a log with control characters written out.

    One thread reads it for all processes that write to it, one after the other.

    Args:
        path: File to append to.
    """

    def __init__(self, path: Path) -> None:
        self._read, self._write = os.pipe()
        self._file = open(path, "ab")  # noqa: SIM115
        self._thread = threading.Thread(target=self._copy, name="log", daemon=True)
        self._thread.start()

    def fileno(self) -> int:
        """Return the descriptor that a process writes to."""
        return self._write

    def drain(self) -> None:
        """Wait for a moment until what was written has been read."""
        deadline = time.monotonic() + _DRAIN_SECONDS
        while select.select([self._read], [], [], 0)[0] and time.monotonic() < deadline:
            time.sleep(0.01)

    def close(self) -> None:
        """Write what is left; may be called again."""
        if self._write >= 0:
            os.close(self._write)
            self._write = -1
            self._thread.join(_DRAIN_SECONDS)

    def _copy(self) -> None:
        with open(self._read, "rb") as pipe, self._file:
            while line := pipe.readline(_LONGEST_LINE):
                text = printable(line.decode(errors="replace"))
                with suppress(OSError):  # a full disk is found out by what has to be kept
                    self._file.write(text.encode())
                    self._file.flush()
