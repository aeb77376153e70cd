"""What a few requests on a few layers say of all requests on a whole model."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from mergesearch.scoring import rehearsal
from mergesearch.scoring.answers import Generated, GenRequest
from mergesearch.scoring.chunks import Job, Likelihood
from mergesearch.scoring.rehearsal import Pace, Rehearsal, at_depth, measure_pace

ANSWERED = Pace(
    "essay",
    generates=True,
    read={"search": 1000, "validate": 2000},
    written={"search": 500, "validate": 800},
    read_seconds=0.01,
    write_seconds=0.1,
    share=0.5,
)
CHOSEN = Pace("quiz", False, {"search": 300}, {"search": 0}, read_seconds=0.02)


def test_requests_take_time_by_tokens_read_and_writes_by_tokens() -> None:
    assert ANSWERED.seconds("search", proxied=False) == pytest.approx(1000 * 0.01 + 250 * 0.1)
    assert ANSWERED.seconds("validate", proxied=False) == pytest.approx(2000 * 0.01 + 400 * 0.1)
    assert CHOSEN.seconds("search", proxied=False) == pytest.approx(6.0)
    assert CHOSEN.seconds("validate", proxied=False) == 0.0


def test_a_proxy_reads_the_answers() -> None:
    assert ANSWERED.seconds("proxy", proxied=True) == pytest.approx((1000 + 250) * 0.01)
    assert ANSWERED.seconds("proxy", proxied=False) == ANSWERED.seconds("search", proxied=False)


def test_a_candidate_is_loaded_prepared_and_scored() -> None:
    found = Rehearsal(2.0, {"search": 0.5, "validate": 0.7}, (ANSWERED, CHOSEN))
    assert found.seconds("search") == pytest.approx(2.0 + 0.5 + 35.0 + 6.0)
    assert found.seconds("proxy", ["essay"]) == pytest.approx(2.0 + 0.5 + 12.5 + 6.0)
    assert not found.at_most


def test_answers_of_unknown_length_count_whole() -> None:
    unknown = replace(ANSWERED, share=None)
    assert unknown.seconds("search", proxied=False) == pytest.approx(1000 * 0.01 + 500 * 0.1)
    assert Rehearsal(0.0, {}, (unknown,)).at_most
    assert not Rehearsal(0.0, {}, (CHOSEN,)).at_most


def test_layers_are_added_on_a_straight_line() -> None:
    one = Rehearsal(1.0, {"search": 0.5}, (ANSWERED,))
    pace = replace(ANSWERED, read_seconds=0.03, write_seconds=0.1)
    three = Rehearsal(1.5, {"search": 0.6}, (pace,))
    found = at_depth({1: one, 3: three}, 48)
    assert found.load_seconds == pytest.approx(1.0 + 47 * 0.25)
    assert found.prepare_seconds == {"search": 0.5}
    assert found.paces[0].read_seconds == pytest.approx(0.01 + 47 * 0.01)
    assert found.paces[0].write_seconds == pytest.approx(0.1)
    assert at_depth({48: three}, 48) == three


def test_more_layers_never_take_less() -> None:
    """On a busy machine the larger model may seem the faster one."""
    one = Rehearsal(1.0, {}, (ANSWERED,))
    three = Rehearsal(0.5, {}, (replace(ANSWERED, read_seconds=0.001),))
    found = at_depth({1: one, 3: three}, 48)
    assert (found.load_seconds, found.paces[0].read_seconds) == (1.0, 0.01)


class Steady:
    """Takes 10 µs for a token that is read and 100 µs for one that is written."""

    READ, WRITE = 1e-5, 1e-4
    n_decoders = 2

    def __init__(self, length: int) -> None:
        self.length = length  # of every answer
        self.sizes: list[int] = []

    def run(self, jobs: Sequence[Job], on_done: Callable[[int, list[Any], float], None]) -> None:
        for index, job in enumerate(jobs):
            self.sizes.append(len(job.requests))
            results = [self._result(request) for request in job.requests]
            written = sum(len(result.tokens) for result in results if isinstance(result, Generated))
            read = job.weight - sum(getattr(request, "max_tokens", 0) for request in job.requests)
            time.sleep(read * self.READ + written * self.WRITE)
            on_done(index, results, 0.0)

    def _result(self, request: Any) -> Generated | Likelihood:
        if isinstance(request, GenRequest):
            return Generated("", (0,) * min(self.length, request.max_tokens), "end")
        return Likelihood(-1.0, False)


def _prompts(count: int) -> Job:
    return Job(tuple(GenRequest((0,) * 40, 60) for _ in range(count)), generates=True)


def test_speeds_are_those_of_the_runner() -> None:
    jobs = {"search": [_prompts(10), _prompts(5)], "validate": [_prompts(20)]}
    pace = measure_pace(Steady(30), "essay", jobs, to_the_end=True)
    assert (pace.task, pace.generates) == ("essay", True)
    assert pace.read == {"search": 600, "validate": 800}
    assert pace.written == {"search": 900, "validate": 1200}
    assert 0.8 * Steady.READ < pace.read_seconds < 5 * Steady.READ
    assert 0.5 * Steady.WRITE < pace.write_seconds < 2 * Steady.WRITE
    assert pace.share == 0.5


def test_answers_are_not_waited_for_where_they_mean_nothing_or_take_too_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    jobs = {"search": [_prompts(10)], "validate": []}
    for seconds, to_the_end in ((1.0, False), (0.001, True)):
        monkeypatch.setattr(rehearsal, "SAMPLE_SECONDS", seconds)
        pace = measure_pace(Steady(60), "essay", jobs, to_the_end=to_the_end)
        assert pace.share is None
        assert pace.write_seconds > 0


def test_the_sample_is_what_the_time_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rehearsal, "SAMPLE_SECONDS", 0.01)
    pairs = Job(tuple(((0,) * 100, (0,) * 100) for _ in range(50)), generates=False)
    runner = Steady(0)
    pace = measure_pace(runner, "quiz", {"search": [pairs]}, to_the_end=True)
    assert pace.read == {"search": 10_000}
    assert (pace.write_seconds, pace.share) == (0.0, None)
    assert runner.sizes[:2] == [1, 1]  # the longest request, in both decoders
    assert 1 <= runner.sizes[2] <= 5


def test_a_task_without_requests_takes_no_time() -> None:
    empty = {"search": [Job((), generates=False)]}
    pace = measure_pace(Steady(0), "quiz", empty, to_the_end=True)
    assert pace.seconds("search", proxied=False) == 0.0
