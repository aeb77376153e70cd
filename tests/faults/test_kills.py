"""A study that is killed again and again, and a long one."""

from __future__ import annotations

import gc
import os
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers import study_fakes
from helpers.study_fakes import Bench, run_in, search, told

from mergesearch.study import events
from mergesearch.study.settings import StudySettings

pytestmark = pytest.mark.faults

KILLS = 50
TRIALS = 150


def _run(folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, study_fakes.__file__, str(folder), "sobol", str(TRIALS)]
    return subprocess.Popen(command, start_new_session=True)


def test_fifty_kills_change_nothing(tmp_path: Path) -> None:
    """At random moments: while it starts, builds, scores, records, or confirms the front."""
    assert _run(tmp_path / "whole").wait() == 0
    expected = told(tmp_path / "whole")
    numbers = random.Random(0)
    folder = tmp_path / "killed"
    for _ in range(KILLS):
        process = _run(folder)
        time.sleep(numbers.uniform(1.5, 5.0))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    process = _run(folder)
    assert process.wait() == 0
    left = {path.name for path in folder.iterdir()}
    assert left == {".lock", "front.json", "study.db"}
    assert told(folder) == expected


def test_1500_trials_are_flat(tmp_path: Path) -> None:
    """Memory, open files and time of a trial stay as they were after the first hundred.

    The time is all but building and scoring, while the front decides, too, when the search ends.
    """
    seconds: list[float] = []
    memory: list[int] = []
    files: list[int] = []
    bench = Bench()

    def look(event: events.Event) -> None:
        if isinstance(event, events.TrialFinished):
            seconds.append(time.process_time())
            memory.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
            files.append(len(os.listdir("/proc/self/fd")))
            for kept in (bench.built, bench.scored, bench.candidates):
                kept.clear()  # what the bench remembers is not the run's

    settings = StudySettings(
        trials=1500, tokens=10**9, patience=1500, sampler="random", confirm=0.0
    )
    gc.collect()  # what other tests have left open is closed now, not in the midst of this one
    run_in(tmp_path, search(bench), settings, look)
    assert len(seconds) == 1500
    assert memory[-1] < 1.05 * memory[100]
    assert files[-1] == files[100]
    first, last = seconds[300] - seconds[100], seconds[-1] - seconds[-201]
    assert last < 1.5 * first
    assert last / 200 < 0.05


def test_a_clock_that_is_set_back_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_in(tmp_path / "whole", search(), StudySettings(trials=6, sampler="sobol"))
    now = time.time

    def back(count: list[int] = [0]) -> float:  # noqa: B006
        count[0] += 1
        return now() - 3600.0 * count[0]

    monkeypatch.setattr(time, "time", back)
    run_in(tmp_path / "back", search(), StudySettings(trials=6, hours=1, sampler="sobol"))
    assert told(tmp_path / "back") == told(tmp_path / "whole")
