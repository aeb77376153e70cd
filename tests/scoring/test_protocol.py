"""Messages survive the wire, and what is not a message is an error."""

from __future__ import annotations

import json
import math
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from mergesearch.errors import MergeSearchError, ObjectivesError, ScoringError
from mergesearch.objectives import ItemResult, MetricValue, Rung, TaskResult
from mergesearch.scoring.child import Server
from mergesearch.scoring.protocol import (
    Bye,
    CandidateFile,
    Channel,
    Failed,
    ItemsRead,
    Loaded,
    Message,
    Progress,
    ReadItems,
    Ready,
    RehearseCandidate,
    Rehearsed,
    Results,
    ScoreCandidate,
    Setup,
    UseReferences,
    decode,
    encode,
)
from mergesearch.scoring.rehearsal import Effort, Pace, Rehearsal
from mergesearch.scoring.texts import ItemText

ITEMS = (
    ItemResult("quiz", 3, {"acc": 1 / 3}, tokens_in=7, seconds=0.1, text="é\u2028\n"),
    ItemResult("quiz", 9, {}, unscored="the prompt has no tokens"),
)
PACE = Pace("quiz", True, {Rung.SEARCH: 10}, {Rung.SEARCH: 4}, 0.1, 0.2, None)
MESSAGES: list[Message] = [
    Setup("objectives: {}", trust_tasks=True, partial=None),
    UseReferences({"quiz": {3: "yes", 11: "no"}}),
    ScoreCandidate(CandidateFile("a.gguf"), Rung.PROXY, "ab" * 32),
    RehearseCandidate(CandidateFile("a.gguf", "/tmp/a.gguf"), Effort(1.5, to_the_end=True)),
    Bye(),
    ScoreCandidate(CandidateFile("a.gguf"), Rung.SEARCH, "", {"quiz": [3, 1]}),
    Loaded({Rung.SEARCH: {"quiz": [3, 1]}}, {"quiz": ["acc"]}),
    Ready(),
    Progress("quiz", 3, 20),
    Results({"quiz": TaskResult("quiz", {"acc": MetricValue(0.1 + 0.2, math.inf)}, 1, 1, ITEMS)}),
    Rehearsed(Rehearsal(0.5, {Rung.SEARCH: 0.1}, (PACE,))),
    ReadItems({"quiz": [3, 1]}),
    ItemsRead({"quiz": {3: ItemText("Which?", ("a", "b"), "b")}}),
    Failed("ScoringError", "it fell", where="a.gguf", fix="catch it"),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_message_is_read_back_equal_and_with_its_types(message: Message) -> None:
    line = encode(message)
    assert line.count(b"\n") == 1
    found = decode(line)
    assert found == message
    assert encode(found) == line


def test_keys_and_enumerations_have_their_types_again() -> None:
    asked = decode(encode(MESSAGES[2]))
    assert isinstance(asked, ScoreCandidate)
    assert isinstance(asked.rung, Rung)
    references = decode(encode(MESSAGES[1]))
    assert isinstance(references, UseReferences)
    assert list(references.answers["quiz"]) == [3, 11]


@pytest.mark.parametrize(
    "line", [b"[]", b"{}", b"nothing", b'["Scored"]', b'["Progress", {"task": "x"}]', b"[1, 2, 3]"]
)
def test_what_is_not_a_message_is_an_error(line: bytes) -> None:
    with pytest.raises(ScoringError, match="malformed message"):
        decode(line)


def test_an_unknown_message_is_an_error_that_names_the_known_ones() -> None:
    with pytest.raises(ScoringError, match=r"unknown message 'Hello'\n  expected: Setup, "):
        decode(json.dumps(["Hello", {}]).encode())


@pytest.mark.parametrize("name", ["ObjectivesError", "ScorerCrashed", "MergeSearchError"])
def test_an_error_comes_back_as_its_class(name: str) -> None:
    kind = MergeSearchError.classes.get(name, MergeSearchError)
    error = Failed.of(kind("what", where="where", expected="expected", fix="fix")).exception()
    assert type(error) is kind
    assert str(error) == "where: what\n  expected: expected\n  to do: fix"


def test_any_other_exception_is_a_scoring_error() -> None:
    assert Failed.of(KeyError("x")) == Failed("ScoringError", "KeyError: 'x'")
    assert Failed.of(MemoryError()).what == "the scoring process ran out of memory"
    assert isinstance(Failed.of(KeyError("x")).exception(), ScoringError)
    assert isinstance(Failed.of(ObjectivesError("x")).exception(), ObjectivesError)


@pytest.fixture
def ends() -> Iterator[tuple[Channel, Channel]]:
    first, second = (Channel(end) for end in socket.socketpair())
    yield first, second
    first.close()
    second.close()


def test_descriptors_come_with_their_messages(ends: tuple[Channel, Channel], tmp_path: Path):
    run, scorer = ends
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
        with (tmp_path / name).open("rb") as file:
            asked = ScoreCandidate(CandidateFile(name), Rung.SEARCH, "")
            run.send(asked, file.fileno())
    for name in ("a", "b"):
        received = scorer.receive()
        assert isinstance(received, ScoreCandidate)
        assert received.file.name == name
        with os.fdopen(scorer.take_descriptor()) as file:
            assert file.read() == name


def test_a_server_answers_what_it_cannot_do_and_goes_on(ends: tuple[Channel, Channel]) -> None:
    """Before its setup it has no tasks; an answer is no request; and there are unknown messages."""
    run, scorer = ends
    run.send(UseReferences({}))
    run.send(Ready())
    run._socket.sendall(b'["Hello", {}]\n')
    run.send(Bye())
    Server(scorer).serve()
    answers = [run.receive() for _ in range(3)]
    assert [answer.what for answer in answers if isinstance(answer, Failed)] == [
        "there are no objectives yet",
        "Ready is not for the scoring process",
        "unknown message 'Hello'",
    ]


def test_a_server_ends_with_its_run(ends: tuple[Channel, Channel]) -> None:
    run, scorer = ends
    run.close()
    Server(scorer).serve()
