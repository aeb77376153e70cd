"""One process at a time works on a run, none in a folder that has gone, and workers take turns."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from mergesearch.errors import Interrupted, MergeSearchError, RunFolderError
from mergesearch.study.locks import file_turns, is_running, run_lock, was_started

HOLD = """
import sys, time
from pathlib import Path
from mergesearch.study.locks import file_turns
with file_turns(Path(sys.argv[1]), lambda: None)():
    print(flush=True)
    time.sleep(60)
"""


def test_a_lock_is_held_by_one_and_given_back(tmp_path: Path) -> None:
    path = tmp_path / "run" / ".lock"
    assert not is_running(path)
    with run_lock(path):
        assert is_running(path)
        with pytest.raises(RunFolderError, match="another run is at work in it"), run_lock(path):
            pass
    assert not is_running(path)
    with run_lock(path):
        pass


def test_a_lock_remembers_that_a_run_was_started(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    assert not was_started(path)
    with run_lock(path) as lock:
        assert not was_started(path)
        lock.mark_started()
        lock.mark_started()
    assert was_started(path)
    assert path.read_text() == "A run was started here.\n"


@pytest.mark.parametrize("what", ["removed", "renamed", "made anew"])
def test_a_folder_that_has_gone_is_noticed(tmp_path: Path, what: str) -> None:
    folder = tmp_path / "run"
    with run_lock(folder / ".lock") as lock:
        lock.check()
        if what == "removed":
            (folder / ".lock").unlink()
        else:
            folder.rename(tmp_path / "other")
        if what == "made anew":
            folder.mkdir()
            (folder / ".lock").touch()
        with pytest.raises(MergeSearchError, match="was removed or renamed"):
            lock.check()


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
