"""A run is stopped in each of its stages: within two seconds on a machine that is idle else.

With several workers the run ends after the last of them, which takes up to a second more.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.study_fakes import trials

pytestmark = pytest.mark.faults

SECONDS = 2.0
WORKERS_SECONDS = 3.0
TRIALS = 16
Line = dict[str, Any]
Moment = Callable[[Line], bool]


def _stage(stage: str, trial: int, rung: str = "search") -> Moment:
    return lambda line: (
        line["event"] == "StageStarted"
        and (line["stage"], line["rung"]) == (stage, rung)
        and line["number"] >= trial
    )


MOMENTS: dict[str, Moment] = {
    "loading the tasks": lambda line: line["event"] == "Preparing",
    "proposing": _stage("proposing", 12),
    "building": _stage("building", 2),
    "loading the candidate": _stage("scoring", 2),
    "scoring": lambda line: line["event"] == "Progressed" and line["number"] >= 2,
    "confirming": _stage("scoring", 0, "validate"),
    "writing the report": lambda line: "report" in line.get("what", ""),
}


def start(folder: Path, objectives: Path, *options: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "mergesearch", "run", "demo", "--objectives", objectives]
    command += ["--out", folder / "run", "--trials", TRIALS, "--sampler", "noisy-gp"]
    command += ["--log-json", folder / "events", *options]
    return subprocess.Popen(
        [str(part) for part in command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for(moment: Moment, folder: Path, process: subprocess.Popen[str]) -> None:
    """Wait until a run has told an event."""
    read, deadline = 0, time.monotonic() + 300
    while time.monotonic() < deadline and process.poll() is None:
        lines = (folder / "events").read_text().splitlines() if (folder / "events").exists() else []
        if any(moment(json.loads(line)) for line in lines[read:]):
            return
        read = len(lines)
        time.sleep(0.002)
    pytest.fail("the run does not come so far")


def stopped(process: subprocess.Popen[str], *numbers: signal.Signals) -> float:
    """Send signals to a run; return the seconds that it takes to end."""
    sent = time.monotonic()
    for number in numbers:
        os.kill(process.pid, number)
        time.sleep(0.1 if len(numbers) > 1 else 0)
    _, errors = process.communicate(timeout=60)
    seconds = time.monotonic() - sent
    # A second signal is the system's to act on; a shell shows it as 130 too.
    ends = (130,) if len(numbers) == 1 else (130, -signal.SIGINT)
    assert process.returncode in ends, errors
    assert "Traceback" not in errors
    return seconds


@pytest.mark.parametrize(
    ("options", "most"),
    [((), SECONDS), (("--workers", 2), WORKERS_SECONDS)],
    ids=["alone", "workers"],
)
@pytest.mark.parametrize("stage", MOMENTS)
def test_a_signal_ends_a_run_in_time(
    tmp_path: Path, objectives: Path, stage: str, options: tuple[object, ...], most: float
) -> None:
    process = start(tmp_path, objectives, *options)
    wait_for(MOMENTS[stage], tmp_path, process)
    seconds = stopped(process, signal.SIGINT)
    print(f"{stage}: {seconds:.2f} s")
    assert seconds < most
    if stage == "loading the tasks":
        assert not (tmp_path / "run").exists()
    else:
        assert all(trial.state in ("complete", "running") for trial in trials(tmp_path / "run"))


@pytest.mark.parametrize("stage", ["loading the tasks", "building", "scoring"])
def test_a_second_one_does_not_wait(tmp_path: Path, objectives: Path, stage: str) -> None:
    process = start(tmp_path, objectives)
    wait_for(MOMENTS[stage], tmp_path, process)
    seconds = stopped(process, signal.SIGINT, signal.SIGINT)
    print(f"twice, {stage}: {seconds:.2f} s")
    assert seconds < SECONDS
