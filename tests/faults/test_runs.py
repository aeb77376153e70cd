"""Whole runs on the bundled parents, to which something happens."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from helpers.shared_run import OBJECTIVES
from helpers.study_fakes import trials

from mergesearch._system import resources

pytestmark = pytest.mark.faults

TRIALS = 6


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with parents of its own, a space on them, and short objectives."""
    for name in ("base", "instruct", "reason"):
        shutil.copytree(resources.parent_folder(f"demo:{name}"), tmp_path / name)
    weight = {"search": [0, 1.5]}
    models = [
        {"model": str(tmp_path / name), "parameters": {"weight": weight}}
        for name in ("instruct", "reason")
    ]
    space = {"merge_method": "task_arithmetic", "base_model": str(tmp_path / "base")}
    (tmp_path / "space.yaml").write_text(yaml.safe_dump(space | {"models": models}))
    objectives = OBJECTIVES.format(folder=resources.objectives_folder() / "demo")
    (tmp_path / "objectives.yaml").write_text(objectives)
    return tmp_path


def start(place: Path, **options: object) -> subprocess.Popen[str]:
    """Start a run, or go on with it."""
    command = [sys.executable, "-m", "mergesearch", "run", str(place / "space.yaml")]
    command += ["--objectives", str(place / "objectives.yaml"), "--out", str(place / "run")]
    command += ["--trials", str(TRIALS), "--sampler", "sobol"]
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, start_new_session=True, **(streams | options))  # type: ignore[call-overload]


def wait_for_trials(place: Path, count: int) -> None:
    """Wait until a run has started so many trials."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        if (place / "run" / "front.json").exists():
            return
        if (place / "run" / "study.db").exists():
            try:
                if len(trials(place / "run")) >= count:
                    return
            except Exception:  # its tables are being made
                pass
        time.sleep(0.2)
    pytest.fail("the run does not come so far")


def ends(process: subprocess.Popen[str]) -> tuple[int, str]:
    """The exit code and the messages of a run."""
    _, errors = process.communicate(timeout=600)
    assert "Traceback" not in errors
    return process.returncode, errors


def goes_on(place: Path) -> None:
    """Check that the same command ends the run as if nothing had been."""
    code, errors = ends(start(place))
    assert code == 0, errors
    assert [trial.state for trial in trials(place / "run")] == ["complete"] * TRIALS


def _truncate(weights: Path) -> None:
    os.truncate(weights, 100_000)


def _zero(weights: Path) -> None:
    with weights.open("r+b") as file:
        file.seek(-5000, os.SEEK_END)
        file.write(bytes(5000))


@pytest.mark.parametrize("change", [_truncate, _zero, Path.unlink])
def test_a_parent_that_changes_is_named_and_the_run_goes_on_with_the_old_one(
    place: Path, change: Callable[[Path], None]
) -> None:
    weights = place / "instruct" / "model.safetensors"
    kept = shutil.copy(weights, place / "kept")
    process = start(place)
    wait_for_trials(place, 2)
    change(weights)
    code, errors = ends(process)
    assert code == 1, errors
    assert f"error: {weights}: " in errors
    if change is _zero:
        code, errors = ends(start(place))
        assert code == 2
        assert f"its run was started with different files of {place / 'instruct'}" in errors
    shutil.copy(kept, weights)
    goes_on(place)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_run_soon(place: Path, number: signal.Signals) -> None:
    process = start(place)
    wait_for_trials(place, 2)
    sent = time.monotonic()
    os.kill(process.pid, number)
    code, errors = ends(process)
    assert code == 130
    assert time.monotonic() - sent < 10  # two seconds where the machine has nothing else to do
    assert "resume: search run --out" in errors
    goes_on(place)


def test_a_signal_while_the_tasks_load_leaves_nothing(place: Path) -> None:
    process = start(place)
    while not (place / "run" / "run.log").exists():
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGTERM)
    assert ends(process)[0] == 130
    assert not (place / "run").exists()


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGKILL])
def test_a_scorer_that_dies_costs_one_trial_at_most(place: Path, number: signal.Signals) -> None:
    process = start(place)
    wait_for_trials(place, 2)
    found = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True)
    os.kill(int(found.stdout.split()[0]), number)
    code, errors = ends(process)
    assert code == 0, errors
    failed = [trial for trial in trials(place / "run") if trial.state == "failed"]
    assert len(failed) <= (0 if number is signal.SIGKILL else 1)
    assert all(number.name in str(trial.failure) for trial in failed)


def test_a_full_disk_is_one_sentence(place: Path) -> None:
    """The limit of a file's size stands for that of the disk."""

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, resource.RLIM_INFINITY))

    code, errors = ends(start(place, preexec_fn=limit))
    assert code == 1, errors
    assert len(errors.splitlines()) < 12
    if (place / "run" / "study.db").exists():
        goes_on(place)


def test_nothing_outlives_a_killed_run(place: Path) -> None:
    process = start(place)
    wait_for_trials(place, 2)
    found = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    time.sleep(2)
    for child in found.stdout.split():
        assert not Path("/proc", child).exists()
    goes_on(place)
