"""`search status --watch`: how a run stands, until nobody works on it."""

from __future__ import annotations

import json

import pytest
from helpers.command import search
from helpers.records import AXES, RUN, TRIALS

from mergesearch.cli import status
from mergesearch.errors import Interrupted
from mergesearch.report.status import Status
from mergesearch.study.front import Front


def stands(n_trials: int, running: bool) -> Status:
    found = TRIALS[:n_trials]
    return Status(RUN, Front.of(AXES, found), found, running=running)


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> list[Status | BaseException]:
    """What is seen of a run, one after the other."""
    seen: list[Status | BaseException] = []

    def look(run: object) -> Status:
        found = seen.pop(0)
        if isinstance(found, BaseException):
            raise found
        return found

    monkeypatch.setattr(status, "Run", lambda folder: None)
    monkeypatch.setattr(status, "_status", look)
    monkeypatch.setattr(status, "WATCH_SECONDS", 0.0)
    return seen


def test_it_ends_with_the_run_and_repeats_nothing(watched: list[Status | BaseException]) -> None:
    watched += [stands(1, True), stands(1, True), stands(2, True), stands(2, False)]
    outcome = search("status", "run", "--watch", "--json")
    lines = [json.loads(line) for line in outcome.out.splitlines()]
    assert [(line["trials"], line["running"]) for line in lines] == [
        (1, True),
        (2, True),
        (2, False),
    ]
    assert (outcome.code, watched) == (0, [])


def test_ctrl_c_ends_the_watching_alone(watched: list[Status | BaseException]) -> None:
    watched += [stands(1, True), Interrupted("stopped")]
    outcome = search("status", "run", "--watch")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.count("hypervolume") == 1


def test_without_it_a_run_is_looked_at_once(watched: list[Status | BaseException]) -> None:
    watched += [stands(1, True), stands(2, True)]
    assert json.loads(search("status", "run", "--json").out)["trials"] == 1
    assert len(watched) == 1
