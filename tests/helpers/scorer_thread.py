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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import SimpleNamespace
from typing import Any

import pytest

from mergesearch.scoring import child, process
from mergesearch.scoring.protocol import Channel


class ScorerThread:
    """What a `ScoringProcess` asks of its process, for a thread."""

    pid = None
    returncode = 0

    def __init__(self, command: Sequence[str], pass_fds: Sequence[int], **options: Any) -> None:
        self._connection = socket.socket(fileno=os.dup(pass_fds[0]))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with self._connection, suppress(BrokenPipeError, ConnectionResetError):
            child.Server(Channel(self._connection)).serve()

    def kill(self) -> None:
        """Let its next message find nobody."""
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end."""
        self._thread.join(timeout)
        if self._thread.is_alive():
            raise subprocess.TimeoutExpired("scorer", timeout or 0.0)
        return 0


@contextmanager
def scorer_in_thread() -> Iterator[None]:
    """Let every scoring process that starts be a thread; what it logs goes nowhere."""
    launcher = SimpleNamespace(
        Popen=ScorerThread,
        DEVNULL=subprocess.DEVNULL,
        TimeoutExpired=subprocess.TimeoutExpired,
    )
    with open(os.devnull, "w") as nowhere, pytest.MonkeyPatch.context() as patch:
        patch.setattr(process, "subprocess", launcher)
        patch.setattr(child, "sys", SimpleNamespace(stderr=nowhere, platform=sys.platform))
        patch.setattr(child, "traceback", SimpleNamespace(print_exc=lambda: None))
        yield
