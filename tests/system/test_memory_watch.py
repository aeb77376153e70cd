"""How much memory a run takes, looked at while it works."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from mergesearch._system import memory_watch
from mergesearch._system.memory_watch import MemoryWatch, files_in_memory, memory_of

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux shows what a process takes")


def test_what_a_process_takes_is_counted() -> None:
    before = memory_of([os.getpid()])
    taken = bytearray(os.urandom(1 << 20)) * 100
    assert 90 << 20 < memory_of([os.getpid()]) - before < 130 << 20
    del taken
    assert memory_of([os.getpid(), 2**22 + 1]) > 0


def test_files_in_memory_are_counted() -> None:
    before = files_in_memory()
    descriptor = os.memfd_create("candidate")
    os.write(descriptor, bytes(1 << 20))
    assert files_in_memory() - before == 1 << 20
    os.close(descriptor)


@pytest.mark.whole
def test_too_much_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_watch, "INTERVAL_SECONDS", 0.05)
    seen: list[int] = []
    noticed = threading.Event()

    def exceeded(used: int) -> None:
        seen.append(used)
        noticed.set()

    script = "x = bytearray(b'x' * (200 << 20)); print(flush=True); input()"
    command = [sys.executable, "-c", script]
    limit = memory_of([os.getpid()]) + files_in_memory() + (150 << 20)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with MemoryWatch(limit, lambda: [other.pid], exceeded):
            assert noticed.wait(20)
        other.kill()
    assert seen[0] > limit
