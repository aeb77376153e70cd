"""Connections that wait for a lock, and how often a run asks its database."""

from __future__ import annotations

import itertools
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from helpers.study_fakes import run_in, search

from mergesearch.errors import DatabaseAway
from mergesearch.study import events, waiting
from mergesearch.study.settings import StudySettings


def test_a_statement_waits_until_the_lock_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "WAIT_SECONDS", 0.05)
    file = tmp_path / "x.db"
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("CREATE TABLE t (a)")
    other.execute("BEGIN IMMEDIATE")
    waited: list[int] = []

    def on_wait() -> None:
        waited.append(1)
        if len(waited) == 3:
            other.execute("COMMIT")

    ours = sqlite3.connect(file, timeout=0.05, factory=waiting.waiting(on_wait))
    ours.cursor().execute("INSERT INTO t VALUES (1)")
    ours.commit()
    assert waited == [1, 1, 1]
    assert other.execute("SELECT * FROM t").fetchall() == [(1,)]
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        ours.cursor().execute("SELECT * FROM missing")
    ours.close()
    other.close()


def test_what_is_called_may_end_the_waiting(tmp_path: Path) -> None:
    file = tmp_path / "x.db"
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")

    def on_wait() -> None:
        raise KeyboardInterrupt

    ours = sqlite3.connect(file, timeout=0.05, factory=waiting.waiting(on_wait))
    with pytest.raises(KeyboardInterrupt):
        ours.cursor().execute("CREATE TABLE t (a)")
    ours.close()
    other.close()


def test_a_server_that_is_away_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "WAIT_SECONDS", 0.01)
    waited: list[int] = []
    server_wait = waiting.ServerWait(lambda: waited.append(1))
    answers = iter([DatabaseAway("gone"), DatabaseAway("gone"), "here"])

    def ask() -> str:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert server_wait(ask) == "here"
    assert waited == [1, 1]


def test_what_is_around_an_action_is_done_again_as_a_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(waiting, "WAIT_SECONDS", 0.01)
    server_wait = waiting.ServerWait(lambda: None)
    done: list[str] = []

    def inner() -> None:
        done.append("inner")
        if len(done) < 3:
            raise DatabaseAway("gone")

    def outer() -> None:
        done.append("outer")
        server_wait(inner)

    server_wait(outer)
    assert done == ["outer", "inner", "outer", "inner"]
    with pytest.raises(DatabaseAway):  # who only reads does not wait
        waiting.ServerWait()(_away)


def _away() -> None:
    raise DatabaseAway("gone")


@pytest.mark.whole
@pytest.mark.parametrize("end", [{}, {"tokens": 10**9}, {"patience": 99, "hypervolume": 9.0}])
def test_a_late_trial_asks_no_more_than_an_early_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: dict[str, Any]
) -> None:
    """So the overhead of a trial does not grow with their number."""
    asked, counts = [0], []
    wait = waiting.WaitingConnection.wait

    def counted(self: Any, *arguments: Any) -> Any:
        asked[0] += 1
        return wait(self, *arguments)

    def look(event: events.Event) -> None:
        if isinstance(event, events.TrialFinished):
            counts.append(asked[0])

    monkeypatch.setattr(waiting.WaitingConnection, "wait", counted)
    settings = StudySettings(trials=14, sampler="sobol", confirm=0.0, **end)
    run_in(tmp_path, search(), settings, look)
    each = [later - before for before, later in itertools.pairwise(counts)]
    assert max(each[-4:]) <= max(each[:4]) <= 40
