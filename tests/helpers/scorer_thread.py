"""The scoring process as a thread of this one, which loads lm-eval and llama.cpp once.

It is asked in the same messages through the same socket. What a process of its own is for, its
crash, is tested where there is one: tests/scoring/test_process.py.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, Pipe
from types import SimpleNamespace

import pytest

from mergesearch.scoring import process, server


class ScorerThread:
    """What a `ScoringProcess` asks of its process, for a thread."""

    pid = None
    returncode = 0

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with self._connection:
            server.Server(self._connection).serve()

    def kill(self) -> None:
        """Let its next message find nobody."""
        with suppress(OSError), socket.socket(fileno=os.dup(self._connection.fileno())) as end:
            end.shutdown(socket.SHUT_RDWR)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end."""
        self._thread.join(timeout)
        if self._thread.is_alive():
            raise subprocess.TimeoutExpired("scorer", timeout or 0.0)
        return 0


def _start(module: str, output: object) -> tuple[ScorerThread, Connection]:
    ours, theirs = Pipe()
    return ScorerThread(theirs), ours


@contextmanager
def scorer_in_thread() -> Iterator[None]:
    """Let every scoring process that starts be a thread; what it logs goes nowhere."""
    with open(os.devnull, "w") as nowhere, pytest.MonkeyPatch.context() as patch:
        patch.setattr(process, "start_child", _start)
        patch.setattr(server, "sys", SimpleNamespace(stderr=nowhere, platform=sys.platform))
        patch.setattr(server, "traceback", SimpleNamespace(print_exc=lambda: None))
        yield
