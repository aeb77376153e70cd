"""Messages survive the way between the processes, and every failure is an answer."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from multiprocessing.connection import Connection, Pipe
from pathlib import Path

import pytest

from mergesearch.errors import MergeSearchError, ObjectivesError, ScorerOutOfMemory, ScoringError
from mergesearch.objectives import ItemResult, MetricValue, Objectives, Rung, TaskResult
from mergesearch.scoring.protocol import Loaded, Progress, failure
from mergesearch.scoring.rehearsal import Pace, Rehearsal
from mergesearch.scoring.server import Server
from mergesearch.scoring.texts import ItemText

ITEMS = (
    ItemResult("quiz", 3, {"acc": 1 / 3}, tokens_in=7, seconds=0.1, text="é\u2028\n"),
    ItemResult("quiz", 9, {}, unscored="the prompt has no tokens"),
)
PACE = Pace("quiz", True, {Rung.SEARCH: 10}, {Rung.SEARCH: 4}, 0.1, 0.2, None)
OBJECTIVES = Objectives.from_yaml(
    "objectives: {a: {tasks: [{task: quiz, metric: acc}], reference: 0}}", Path()
)
MESSAGES = [
    ("load", (OBJECTIVES,), {"trust_tasks": True, "partial": Path("partial")}),
    ("use_references", ({"quiz": {3: "yes", 11: "no"}},), {}),
    Loaded({Rung.SEARCH: {"quiz": [3, 1]}}, {"quiz": ["acc"]}),
    Progress("quiz", 3, 20),
    {"quiz": TaskResult("quiz", {"acc": MetricValue(0.1 + 0.2, math.inf)}, 1, 1, ITEMS)},
    Rehearsal(0.5, {Rung.SEARCH: 0.1}, (PACE,)),
    {"quiz": {3: ItemText("Which?", ("a", "b"), "b")}},
]


@pytest.fixture
def ends() -> Iterator[tuple[Connection, Connection]]:
    first, second = Pipe()
    with first, second:
        yield first, second


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_message_comes_equal_and_with_its_types(
    message: object, ends: tuple[Connection, Connection]
) -> None:
    ends[0].send(message)
    found = ends[1].recv()
    assert found == message
    assert repr(found) == repr(message)


@pytest.mark.parametrize("kind", [ObjectivesError, ScoringError, MergeSearchError])
def test_an_error_is_sent_as_it_is(kind: type[MergeSearchError]) -> None:
    error = kind("what", where="where", expected="expected", fix="fix")
    assert failure(error) is error


def test_any_other_exception_is_a_scoring_error() -> None:
    error = failure(KeyError("x"))
    assert isinstance(error, ScoringError)
    assert str(error) == "KeyError: 'x'"
    error = failure(MemoryError())
    assert isinstance(error, ScorerOutOfMemory)
    assert error.what == "the scoring process ran out of memory"


def test_a_server_answers_what_it_cannot_do_and_goes_on(
    ends: tuple[Connection, Connection],
) -> None:
    """Before it has loaded any it has no tasks; and it has no other methods."""
    run, scorer = ends
    run.send(("use_references", ({},), {}))
    run.send(("dance", (), {}))
    server = threading.Thread(target=Server(scorer).serve)
    server.start()
    first, second = run.recv(), run.recv()
    run.close()
    server.join()
    assert isinstance(first, ScoringError)
    assert str(second) == "AttributeError: 'Server' object has no attribute 'dance'"


def test_a_server_ends_with_its_run(ends: tuple[Connection, Connection]) -> None:
    run, scorer = ends
    run.send(("dance", (), {}))  # the answer finds nobody
    run.close()
    Server(scorer).serve()
