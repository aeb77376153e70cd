"""Several workers on one run: each trial is done once, whoever is lost."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
from helpers import worker_fakes
from helpers.forked import run_apart
from helpers.study_fakes import Bench, files, records, run_in, search, told, trials
from helpers.worker_fakes import HEARTBEAT, LOST, join, share

from mergesearch.errors import RunFolderError
from mergesearch.study import workers
from mergesearch.study.proposing import Proposer
from mergesearch.study.recording import RunRecorder
from mergesearch.study.records import State
from mergesearch.study.samplers.problem import running
from mergesearch.study.settings import StudySettings
from mergesearch.study.sharing import lose_process, shared_run
from mergesearch.study.trials import observation

pytestmark = pytest.mark.whole

TRIALS = 14
SETTINGS = StudySettings(trials=TRIALS, sampler="tpe", seed=5)


@pytest.fixture(autouse=True, scope="module")
def hurry() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workers, "HEARTBEAT_SECONDS", HEARTBEAT)
        patch.setattr(workers, "LOST_SECONDS", LOST)
        patch.setattr(workers, "PAUSE_SECONDS", 0.02)
        yield


@pytest.fixture(scope="module")
def shared(hurry: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Bench]]:
    """A run that two workers did together, and what each did."""
    folder = tmp_path_factory.mktemp("shared")
    share(files(folder), SETTINGS)
    both = threading.Barrier(2)

    def score(count: int) -> None:
        if count == 0:
            both.wait(timeout=60)  # each has started a trial before the other's is over
        time.sleep(0.02)

    benches = [Bench(before_score=score), Bench(before_score=score)]
    threads = [threading.Thread(target=join, args=(files(folder), bench)) for bench in benches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return folder, benches


def test_two_workers_do_each_trial_once(shared: tuple[Path, list[Bench]]) -> None:
    folder, benches = shared
    done = trials(folder)
    assert [trial.state for trial in done] == ["complete"] * TRIALS
    assert [trial.attempt for trial in done] == [1] * TRIALS
    assert {trial.worker for trial in done} == {1, 2}
    scored = Counter(what for bench in benches for what in bench.scored)
    own = [trial for trial in done if trial.reused_from is None]
    assert set(scored.values()) == {1}
    assert sum(rung == "search" for rung, _ in scored) == len(own)


def test_the_front_is_confirmed_by_all_together(shared: tuple[Path, list[Bench]]) -> None:
    folder, benches = shared
    with records(folder) as opened:
        front = opened.front()
    assert all(member.confirmed is not None for member in front.members)
    validated = [digest for bench in benches for rung, digest in bench.scored if rung == "validate"]
    assert len(validated) == len(set(validated)) >= len(front.members)


def test_a_proposal_follows_from_what_its_worker_had_seen(
    shared: tuple[Path, list[Bench]],
) -> None:
    folder, _ = shared
    assert any(trial.unseen for trial in trials(folder))
    with RunRecorder.start(files(folder), search(), SETTINGS) as recorder:
        run, found = recorder.run(), recorder.history.trials
        for number, trial in enumerate(found):
            unseen = trial.user_attrs.get("unseen", ())
            known = [observation(before, run) for before in found[:number]]
            seen = [
                running(before) if place in unseen else before for place, before in enumerate(known)
            ]
            assert Proposer(search(), run).propose(seen).parameters == trial.params


def test_workers_have_left_in_the_end(shared: tuple[Path, list[Bench]]) -> None:
    folder, _ = shared
    with records(folder) as opened:
        found = opened.workers()
    assert [worker.number for worker in found] == [1, 2]
    assert all(worker.has_left for worker in found)
    left = {path.name for path in folder.iterdir()}
    assert left <= {".turns", "study.db", "study.db-shm", "study.db-wal"}


FIVE = StudySettings(trials=5, sampler="sobol")


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """What a single process does."""
    folder = tmp_path_factory.mktemp("alone")
    run_in(folder, search(), FIVE)
    return told(folder)


def killed_worker(folder: Path, stage: str, at: int) -> BaseProcess:
    """A worker in a process of its own that kills itself."""
    return run_apart(worker_fakes.main, str(folder), "", "night", stage, str(at))


@pytest.mark.parametrize("stage", ["building", "scoring"])
def test_what_a_killed_worker_leaves_is_done_by_another(
    tmp_path: Path, alone: list[Any], stage: str
) -> None:
    share(files(tmp_path), FIVE)
    assert killed_worker(tmp_path, stage, 2).exitcode == -signal.SIGKILL
    with records(tmp_path) as opened:
        assert not any(worker.has_left for worker in opened.workers())
    join(files(tmp_path))
    done = trials(tmp_path)
    assert [trial.state for trial in done] == ["complete"] * 5
    assert [trial.attempt for trial in done] == [1, 1, 2, 1, 1]
    assert told(tmp_path) == alone


def test_a_process_that_is_known_to_have_ended_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "LOST_SECONDS", 3600.0)
    share(files(tmp_path), StudySettings(trials=6, sampler="sobol", confirm=0.0))
    killed = killed_worker(tmp_path, "scoring", 1)
    assert killed.exitcode == -signal.SIGKILL
    assert killed.pid is not None
    lose_process(files(tmp_path).database, "", socket.gethostname(), killed.pid)
    with records(tmp_path) as opened:
        assert [found.has_left for found in opened.workers()] == [True]
    join(files(tmp_path))
    assert [trial.attempt for trial in trials(tmp_path)] == [1, 2, 1, 1, 1, 1]


def test_a_worker_that_was_taken_for_lost_drops_what_another_did(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its machine slept, say."""
    monkeypatch.setattr(workers, "HEARTBEAT_SECONDS", 60.0)
    share(files(tmp_path), StudySettings(trials=4, sampler="sobol", confirm=0.0))

    def sleep(count: int) -> None:
        if count == 0:
            lose_process(files(tmp_path).database, "", socket.gethostname(), os.getpid())
            join(files(tmp_path), other)

    other = Bench()
    sleeping = Bench(before_score=sleep)
    join(files(tmp_path), sleeping)
    done = trials(tmp_path)
    assert [trial.state for trial in done] == ["complete"] * 4
    assert [trial.worker for trial in done] == [2, 2, 2, 2]
    assert len(other.scored) == 4
    assert len(sleeping.scored) == 1


def test_a_run_that_is_not_shared_cannot_be_joined(tmp_path: Path) -> None:
    run_in(tmp_path, search(), StudySettings(trials=1, sampler="sobol", confirm=0.0))
    with pytest.raises(RunFolderError, match="is not shared"):
        shared_run(files(tmp_path).database, "night")


def test_one_process_goes_on_with_what_several_began(tmp_path: Path) -> None:
    share(files(tmp_path), StudySettings(trials=4, sampler="sobol", confirm=0.0))
    assert killed_worker(tmp_path, "scoring", 2).exitcode == -signal.SIGKILL
    run_in(tmp_path, search(), StudySettings(trials=4, sampler="sobol", confirm=0.0))
    done = trials(tmp_path)
    assert [(trial.state, trial.attempt) for trial in done] == [
        (State.COMPLETE, 1),
        (State.COMPLETE, 1),
        (State.COMPLETE, 2),
        (State.COMPLETE, 1),
    ]
