"""Many workers on PostgreSQL: killed during a trial, and a database that is restarted."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
import yaml
from helpers import worker_fakes
from helpers.postgres import PASSWORD, Server, postgres
from helpers.shared_run import OBJECTIVES
from helpers.study_fakes import run_in, search, told
from helpers.worker_fakes import files_of, share

from mergesearch._system import resources
from mergesearch.errors import RunFolderError
from mergesearch.study.reading import RunRecords
from mergesearch.study.records import TrialRecord
from mergesearch.study.servers import server_address
from mergesearch.study.settings import StudyFiles, StudySettings

pytestmark = pytest.mark.faults

TRIALS = 24


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with postgres() as started:
        yield started


@pytest.fixture
def where(server: Server, tmp_path: Path) -> StudyFiles:
    """A place for a run on the server."""
    return files_of(tmp_path, server_address(server.url(PASSWORD)), tmp_path.name)


def trials(where: StudyFiles) -> tuple[TrialRecord, ...]:
    with RunRecords.of(where) as records:
        return records.trials()


def wait_for(where: StudyFiles, count: int) -> None:
    """Wait until so many trials have been started."""
    deadline = time.monotonic() + 120
    while len(trials(where)) < count:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_every_trial_is_done_once(
    server: Server, where: StudyFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four workers, two killed during a trial, the database restarted twice meanwhile."""
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    settings = StudySettings(trials=TRIALS, sampler="sobol")
    share(where, settings)

    def start(stage: str = "", at: int = 0) -> subprocess.Popen[bytes]:
        return worker_fakes.start(tmp_path, stage, at, 0.5, where.database, where.name)

    killed = [start("scoring", 3), start("building", 4)]
    steady = [start(), start()]
    wait_for(where, 6)
    server.stop()
    time.sleep(3)
    server.start()
    wait_for(where, TRIALS // 2)
    server.stop()
    server.start()
    assert [process.wait(300) for process in steady] == [0, 0]
    assert [process.wait(10) for process in killed] == [-signal.SIGKILL] * 2
    done = trials(where)
    assert [trial.state for trial in done] == ["complete"] * TRIALS
    assert len({trial.worker for trial in done}) > 2
    run_in(tmp_path / "alone", search(), settings)
    alone = [(record[1], record[3], record[4]) for record in told(tmp_path / "alone")]
    assert [(dict(t.parameters), dict(t.scores()), t.candidate_digest) for t in done] == [
        (parameters, dict(scores), digest) for parameters, scores, digest in alone
    ]
    with RunRecords.of(where) as records:
        assert all(worker.has_left for worker in records.workers())
        assert all(member.confirmed is not None for member in records.front().members)


def test_a_worker_that_is_suspended_in_its_turn_loses_it(
    where: StudyFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one does what is left; resumed, it does nothing twice and leaves in peace."""
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    settings = StudySettings(trials=8, sampler="sobol", seed=3)
    share(where, settings)
    asleep = worker_fakes.start(tmp_path, "proposing", 3, 0.1, where.database, where.name)
    _, status = os.waitpid(asleep.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    other = worker_fakes.start(tmp_path, "", 0, 0.1, where.database, where.name)
    assert other.wait(120) == 0
    done = trials(where)
    assert [trial.worker for trial in done] == [1] * 3 + [2] * 5
    asleep.send_signal(signal.SIGCONT)
    assert asleep.wait(60) == 0
    assert trials(where) == done
    assert [(trial.state, trial.attempt) for trial in done] == [("complete", 1)] * 8
    run_in(tmp_path / "alone", search(), settings)
    assert [dict(trial.parameters) for trial in done] == [
        parameters for _, parameters, *_ in told(tmp_path / "alone")
    ]
    with RunRecords.of(where) as records:
        assert all(worker.has_left for worker in records.workers())
        assert all(member.confirmed is not None for member in records.front().members)


Start = Callable[..., subprocess.Popen[str]]
SEARCH = (sys.executable, "-m", "mergesearch")


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts commands in a folder, which end with the test at the latest."""
    started: list[subprocess.Popen[str]] = []

    def run(
        folder: Path, *arguments: object, program: tuple[str, ...] = SEARCH, **environment: str
    ) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*program, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=folder,
            env={**os.environ, **environment},
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()  # what it started ends with it


def _place(folder: Path) -> None:
    """Parents of one's own, a space on them, and short objectives, in a machine's folder."""
    folder.mkdir()
    for name in ("base", "instruct", "reason"):
        shutil.copytree(resources.parent_folder(f"demo:{name}"), folder / name)
    weight = {"search": [0, 1.5]}
    models = [{"model": name, "parameters": {"weight": weight}} for name in ("instruct", "reason")]
    space = {"merge_method": "task_arithmetic", "base_model": "base", "models": models}
    (folder / "space.yaml").write_text(yaml.safe_dump(space))
    objectives = OBJECTIVES.format(folder=resources.objectives_folder() / "demo")
    (folder / "objectives.yaml").write_text(objectives)


def test_machines_join_and_others_are_refused_and_no_password_is_anywhere(
    server: Server, tmp_path: Path, start: Start
) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    _place(ours)
    _place(theirs)
    run = start(
        ours, "run", "space.yaml", "--objectives", "objectives.yaml", "--out", "results/night",
        "--trials", 12, "--sampler", "sobol", "--workers", 2, "--storage", server.url(PASSWORD),
    )  # fmt: skip
    said = ""
    assert run.stdout is not None
    while "search worker --storage" not in said:
        line = run.stdout.readline()
        assert line, said
        said += line
    address = server.url().replace("postgresql://", "postgresql+psycopg://")
    assert f"others join with: search worker --storage {address} --study night" in said
    join = ("worker", "--storage", server.url(), "--study", "night")

    weights = theirs / "reason" / "model.safetensors"
    kept = weights.read_bytes()
    weights.write_bytes(kept[:-4] + bytes(4))
    refused = start(theirs, *join, PGPASSWORD=PASSWORD)
    told, _ = refused.communicate(timeout=900)
    assert refused.returncode == 2, told
    assert "its run was started with different files of reason" in told
    assert not (theirs / "results").exists()

    weights.write_bytes(kept)
    command_lines = [
        Path("/proc", name, "cmdline").read_bytes()
        for name in _children(run.pid)
        if Path("/proc", name).exists()
    ]
    joined = start(theirs, *join, PGPASSWORD=PASSWORD)
    shown, deadline = "", time.monotonic() + 120  # workers show once they are at work
    while "last sign of life" not in shown and time.monotonic() < deadline:
        status = start(ours, "status", "results/night", PGPASSWORD=PASSWORD)
        shown, _ = status.communicate(timeout=300)
    assert "last sign of life" in shown
    rest, _ = run.communicate(timeout=900)
    assert run.returncode == 0, said + rest
    told_too, _ = joined.communicate(timeout=900)
    assert joined.returncode == 0, told_too
    nothing = start(ours, "status", "results/night", PGPASSWORD="wrong")
    failed, _ = nothing.communicate(timeout=300)
    assert nothing.returncode == 1
    assert "cannot be reached" in failed

    secrets = (PASSWORD, quote_plus(PASSWORD), quote(PASSWORD))
    texts = [said, rest, told, told_too, shown, failed, *map(os.fsdecode, command_lines)]
    texts += [path.read_text(errors="replace") for path in tmp_path.rglob("*") if path.is_file()]
    assert len(command_lines) >= 2
    assert not [text for text in texts for secret in secrets if secret in text]
    with RunRecords.open(server_address(server.url(PASSWORD)), "night") as records:
        assert [trial.state for trial in records.trials()] == ["complete"] * 12
        assert [trial.attempt for trial in records.trials()] == [1] * 12
        assert len({worker.pid for worker in records.workers()}) >= 3


def test_the_documented_array_shares_a_run(server: Server, tmp_path: Path, start: Start) -> None:
    """As Slurm starts it: the first task last, and another one told to leave in mid-trial."""
    folder = tmp_path / "cluster"
    _place(folder)
    page = (Path(__file__).parents[2] / "docs" / "workers.md").read_text(encoding="utf-8")
    script = page[page.index("#!/bin/bash") :].partition("```")[0]
    for written, tried in {
        "postgresql://me@host/studies": server.url(),
        "/night": "/array",
        "--study night": "--study array",
        "--trials 400": "--trials 24 --sampler sobol",
    }.items():
        assert written in script
        script = script.replace(written, tried)
    (folder / "array.sh").write_text(script)
    (tmp_path / "search").write_text(f'#!/bin/sh\nexec {shlex.join(SEARCH)} "$@"\n')
    (tmp_path / "search").chmod(0o755)

    def task(number: int) -> subprocess.Popen[str]:
        return start(
            folder,
            program=("bash", "array.sh"),
            SLURM_ARRAY_TASK_ID=str(number),
            SLURM_JOB_ID=str(70 + number),
            PGPASSWORD=PASSWORD,
            PATH=f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
        )

    steady, leaving = task(1), task(2)
    first = task(0)
    where = files_of(folder, server_address(server.url(PASSWORD)), "array")
    deadline = time.monotonic() + 300
    while not _is_at_work(where, leaving.pid):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    leaving.terminate()
    said, _ = leaving.communicate(timeout=60)
    assert leaving.returncode == 130, said
    assert "waiting: the study array is not on record yet" in said
    for process in (first, steady):
        told, _ = process.communicate(timeout=900)
        assert process.returncode == 0, told
    assert [trial.state for trial in trials(where)] == ["complete"] * 24


def _is_at_work(where: StudyFiles, process: int) -> bool:
    """Whether a process does a trial of a run, which may not be on record yet."""
    try:
        with RunRecords.of(where) as records:
            number = {worker.pid: worker.number for worker in records.workers()}.get(process)
            return number in {trial.worker for trial in records.trials() if not trial.finished}
    except RunFolderError:
        return False


def _children(process: int) -> list[str]:
    """Ids of the processes below a process."""
    found = subprocess.run(["pgrep", "-P", str(process)], capture_output=True, text=True)
    children = found.stdout.split()
    return children + [below for child in children for below in _children(int(child))]
