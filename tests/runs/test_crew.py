"""Workers of one machine, told of as one run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from helpers.study_fakes import files

from mergesearch.errors import Interrupted, MergeSearchError
from mergesearch.objectives import Rung
from mergesearch.runs import crew
from mergesearch.runs.crew import Crew, WorkerSetup, joining, worker_setups
from mergesearch.runs.workplace import WorkerSettings
from mergesearch.study.events import Event, Noted, RunStarted, StageStarted, TrialFinished
from mergesearch.study.stopping import StopRule

STARTED = RunStarted((), StopRule(4, None), "sobol", ())


def finished(number: int) -> Any:
    return TrialFinished(SimpleNamespace(number=number))  # type: ignore[arg-type]


def test_what_several_workers_say_is_passed_on_once() -> None:
    heard: list[Event] = []
    relay = crew._Relay(heard.append)
    events = [
        STARTED,
        STARTED,
        Noted("cut"),
        Noted("cut"),
        StageStarted(0, Rung.SEARCH, "scoring"),
        StageStarted(1, Rung.SEARCH, "scoring"),
        finished(0),
        finished(1),
        finished(0),
    ]
    for event in events:
        relay(event)
    assert [type(event).__name__ for event in heard] == [
        "RunStarted",
        "Noted",
        "StageStarted",
        "StageStarted",
        "TrialFinished",
        "TrialFinished",
    ]


def test_the_command_that_joins_a_run_names_database_and_study(tmp_path: Path) -> None:
    where = replace(files(tmp_path / "my night"), database="postgresql+psycopg://me@host/studies")
    assert joining(where) == (
        "search worker --storage postgresql+psycopg://me@host/studies --study 'my night'"
    )


@pytest.fixture
def setup(tmp_path: Path) -> WorkerSetup:
    """A worker on a run that does not exist."""
    return WorkerSetup(
        files(tmp_path), {}, WorkerSettings(tmp_path / "log", tmp_path / "partial"), 0
    )


@pytest.mark.whole
def test_the_failure_of_a_worker_is_that_of_the_run(tmp_path: Path, setup: WorkerSetup) -> None:
    with (
        Crew([setup], tmp_path / "run.log") as workers,
        pytest.raises(MergeSearchError, match=r"has no study\.db"),
    ):
        workers.watch(lambda: None, lambda event: None)


@pytest.mark.whole
def test_what_is_checked_ends_the_workers(tmp_path: Path, setup: WorkerSetup) -> None:
    def check() -> None:
        raise Interrupted("stopped")

    with Crew([setup, setup], tmp_path / "run.log") as workers:
        processes = [member.process for member in workers._members]
        with pytest.raises(Interrupted):
            workers.watch(check, lambda event: None)
    assert all(process.poll() is not None for process in processes)


@pytest.mark.whole
def test_workers_that_were_all_killed_are_said_to_be(tmp_path: Path, setup: WorkerSetup) -> None:
    said: list[Any] = []
    with Crew([setup], tmp_path / "run.log") as workers:
        workers._members[0].process.kill()
        with pytest.raises(MergeSearchError, match="all workers were ended from outside"):
            workers.watch(lambda: None, said.append)
    assert said == [Noted("worker 1 was ended (SIGKILL); others do its trial again")]


def test_workers_take_gpus_in_turn(tmp_path: Path, setup: WorkerSetup) -> None:
    each = replace(setup.settings, workers=3)
    setups = worker_setups(setup.files, each, ["0", "1"])
    assert [(told.index, told.gpu) for told in setups] == [(0, "0"), (1, "1"), (2, "0")]
    assert [told.gpu for told in worker_setups(setup.files, each, [])] == [None] * 3
