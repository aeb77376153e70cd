"""Turns: one worker at a time."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from mergesearch.errors import Interrupted
from mergesearch.study.turns import file_turns

HOLD = """
import sys, time
from pathlib import Path
from mergesearch.study.turns import file_turns
with file_turns(Path(sys.argv[1]), lambda: None)():
    print(flush=True)
    time.sleep(60)
"""


def test_one_worker_at_a_time_has_a_turn(tmp_path: Path) -> None:
    inside, most = [0], [0]

    def work() -> None:
        turn = file_turns(tmp_path / "turns", lambda: None)
        for _ in range(3):
            with turn():
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                time.sleep(0.01)
                inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]


@pytest.mark.whole
def test_waiting_can_be_interrupted_and_a_turn_ends_with_its_process(tmp_path: Path) -> None:
    path = tmp_path / "turns"
    other = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE)
    assert other.stdout is not None
    other.stdout.readline()

    def interrupt() -> None:
        raise Interrupted("stopped")

    with pytest.raises(Interrupted), file_turns(path, interrupt)():
        pass
    other.kill()
    other.wait()
    with file_turns(path, interrupt)() as check:
        check()
