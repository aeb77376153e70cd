"""A run by several workers, one of which is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.command import search
from helpers.shared_run import TRIALS, Run, front_of, trials_of
from helpers.study_fakes import trials

from mergesearch.runs.crew import Crew
from mergesearch.study.events import Observer, RunStarted
from mergesearch.study.stopping import StopRule

pytestmark = pytest.mark.whole


def _workers(run: int) -> list[int]:
    """The processes that a run started as workers."""
    found = subprocess.run(["pgrep", "-P", str(run), "-f", "runs.child"], capture_output=True)
    return [int(line) for line in found.stdout.split()]


def _wait_for(folder: Path, what: str, count: int) -> None:
    """Wait until a run has started or finished so many trials."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        try:
            found = [trial for trial in trials(folder) if trial.finished or what == "started"]
            if len(found) >= count:
                return
        except Exception:  # its tables are being made
            pass
        time.sleep(0.1)
    pytest.fail("the run does not come so far")


def test_two_workers_give_what_one_process_gives_though_one_is_killed(
    run: Run, tmp_path: Path
) -> None:
    folder = tmp_path / "shared"
    arguments = run.again(folder, "--workers", 2)
    command = [sys.executable, "-m", "mergesearch", *map(str, arguments)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    _wait_for(folder, "finished", 2)
    first, _ = _workers(process.pid)
    os.kill(first, signal.SIGKILL)
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 0
    assert "was ended (SIGKILL); others do its trial again" in out
    assert trials_of(folder) == trials_of(run.folder)
    assert front_of(folder)["front"] == front_of(run.folder)["front"]
    status = json.loads(search("status", folder, "--json").out)
    assert [worker["has_left"] for worker in status["workers"]] == [True, True]
    assert sum(worker["trials"] for worker in status["workers"]) == TRIALS
    shown = search("status", folder).out
    assert f"none at work; 2 have left ({TRIALS} trials)" in shown
    left = {path.name for path in folder.iterdir()}
    assert left <= {path.name for path in run.folder.iterdir()}


def test_an_interrupted_run_ends_its_workers_and_goes_on_with_fewer(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted while they start; `make test-faults` does it while they score."""
    folder, processes = tmp_path / "stopped", []

    def watch(workers: Crew, check: Callable[[], None], observe: Observer) -> None:
        processes.extend(member.process for member in workers._members)
        observe(RunStarted((), StopRule(2, None), "noisy-gp", ()))  # as the first worker says it
        os.kill(os.getpid(), signal.SIGINT)
        check()

    with monkeypatch.context() as patch:
        patch.setattr(Crew, "watch", watch)
        stopped = search(*run.again(folder, "--workers", 2, "--trials", 2))
    assert stopped.code == 130
    assert f"resume: search run --out {folder} --workers 2" in stopped.err
    assert [process.poll() is not None for process in processes] == [True, True]
    assert search("run", "--out", folder).code == 0
    assert [trial["digest"] for trial in trials_of(folder)] == [
        trial["digest"] for trial in trials_of(run.folder)[:2]
    ]


@pytest.mark.faults
def test_ctrl_c_stops_workers_that_score(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "stopped"
    arguments = run.again(folder, "--workers", 2, "--trials", 3)
    command = [sys.executable, "-m", "mergesearch", *map(str, arguments)]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    _wait_for(folder, "started", 2)
    workers = _workers(process.pid)
    assert len(workers) == 2
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"resume: search run --out {folder} --workers 2" in errors
    assert not any(Path("/proc", str(worker)).exists() for worker in workers)
    assert search("run", "--out", folder).code == 0
    assert [trial["digest"] for trial in trials_of(folder)] == [
        trial["digest"] for trial in trials_of(run.folder)[:3]
    ]
