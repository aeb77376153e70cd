"""Measuring one candidate: what is built and scored, and what a failure becomes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from helpers.records import RUN, trial
from helpers.study_fakes import OBJECTIVES, Bench, search

from mergesearch.errors import BuildError, ObjectivesError, ScorerCrashed, ScorerKilled
from mergesearch.objectives import MetricValue, Objectives, Rung, TaskResult
from mergesearch.recipe import Recipe
from mergesearch.study.building import Builder
from mergesearch.study.events import Event, ParentMeasured, Progressed, StageStarted, TriedAgain
from mergesearch.study.measuring import Measuring
from mergesearch.study.records import Measurement, RunRecord, TrialRecord
from mergesearch.study.stopping import SignalGuard


def recipe(instruct: float, reason: float) -> Recipe:
    models = [
        {"model": "demo:instruct", "parameters": {"weight": instruct}},
        {"model": "demo:reason", "parameters": {"weight": reason}},
    ]
    return Recipe.from_dict({"merge_method": "linear", "models": models})


RECIPE, SECOND = recipe(1.0, 0.0), recipe(0.5, 0.5)
EARLIER = Measurement({"instruction": "of trial 2"}, score_seconds=3.0)  # type: ignore[dict-item]


class PretendedRecords:
    """What measuring asks of the records: a candidate that trial 2 had, notes, the front."""

    def __init__(self, run: RunRecord, known: str, values: Sequence[Sequence[float]]) -> None:
        self.notes: dict[str, Any] = {}
        self.study = SimpleNamespace(note=lambda number, **facts: self.notes.update(facts))
        self.history = SimpleNamespace(
            with_recipe=lambda digest: None,
            with_candidate=lambda digest: 2 if digest == known else None,
            values=values,
        )
        self._run = run

    def run(self) -> RunRecord:
        return self._run

    def reuse(self, number: int, twin: int) -> Measurement:
        assert (number, twin) == (5, 2)
        return EARLIER


class Measured:
    """Measuring with pretended parts."""

    def __init__(
        self,
        bench: Bench | None = None,
        *,
        run: RunRecord = RUN,
        known: str = "",
        values: Sequence[Sequence[float]] = (),
        is_start: bool = False,
        **changes: Any,
    ) -> None:
        self.bench = bench or Bench()
        self.seen: list[Event] = []
        self.records: Any = PretendedRecords(run, known, values)
        searched = search(self.bench, **changes)
        proposer: Any = SimpleNamespace(starts=lambda number: is_start)
        self.measuring = Measuring(
            searched,
            self.records,
            proposer,
            SignalGuard(),
            self.seen.append,
            Builder(searched.build),
        )

    def trial(self) -> dict[Rung, Measurement]:
        return self.measuring.trial(5, RECIPE, lambda: None)


def fail(*errors: BaseException) -> Any:
    """A step that raises these errors, one at a time, and then does nothing."""
    left = list(errors)

    def step(count: int) -> None:
        if left:
            raise left.pop(0)

    return step


def test_a_trial_is_built_noted_and_scored() -> None:
    measured = Measured()
    (found,) = measured.trial().values()
    assert found.failure is None
    assert found.scores["instruction"].value == pytest.approx(0.72, abs=0.011)
    assert [item.text for item in found.items if item.task == "words"] == ["answer to words", None]
    assert found.build_seconds > 0
    assert found.score_seconds > 0
    digest = RECIPE.digest()
    assert measured.records.notes == {"digest": digest, "size": 1000}
    assert measured.bench.scored == [("search", digest)]
    assert measured.bench.candidates[0].closed
    assert measured.seen == [
        StageStarted(5, Rung.SEARCH, "building"),
        StageStarted(5, Rung.SEARCH, "scoring"),
        Progressed(5, Rung.SEARCH, "words", 1, 2),
    ]


def test_a_candidate_that_was_measured_before_is_not_scored_again() -> None:
    measured = Measured(known=RECIPE.digest())
    (found,) = measured.trial().values()
    assert found.build_seconds > 0
    assert replace(found, build_seconds=0.0) == EARLIER
    assert measured.bench.scored == []
    assert measured.bench.candidates[0].closed


def test_the_next_recipe_is_built_while_this_one_is_scored() -> None:
    measured = Measured()
    measured.measuring.trial(5, RECIPE, lambda: SECOND)
    assert measured.measuring.builder.build(SECOND).candidate.recipe == SECOND
    assert measured.bench.built == [RECIPE, SECOND]


@pytest.mark.parametrize(
    ("bench", "reason"),
    [
        (Bench(before_build=fail(BuildError("no memory left"))), "no memory left"),
        (Bench(before_build=fail(OSError(28, "No space left"))), "OSError: [Errno 28] No space le"),
        (Bench(before_score=fail(ScorerCrashed("SIGSEGV"))), "SIGSEGV"),
        (Bench(before_score=fail(*[MemoryError()] * 2)), "there is no more memory"),
    ],
)
def test_what_fails_is_the_reason(bench: Bench, reason: str) -> None:
    (found,) = Measured(bench).trial().values()
    assert (found.failure or "").startswith(reason)
    assert found.scores == {}
    assert all(candidate.closed for candidate in bench.candidates)


@pytest.mark.parametrize("at", ["before_build", "before_score"])
def test_what_an_outside_reason_stopped_is_done_once_more(at: str) -> None:
    measured = Measured(Bench(**{at: fail(ScorerKilled("ended by SIGKILL"))}))
    (found,) = measured.trial().values()
    assert found.failure is None
    assert TriedAgain(5, "ended by SIGKILL") in measured.seen


def test_what_ends_the_run_is_raised() -> None:
    measured = Measured(Bench(before_score=fail(ObjectivesError("the KV cache does not fit"))))
    with pytest.raises(ObjectivesError, match="does not fit"):
        measured.trial()
    assert measured.bench.candidates[0].closed


def test_texts_are_left_out_where_they_are_switched_off() -> None:
    silent = Objectives.from_yaml(OBJECTIVES + "keep_texts: false\n", Path())
    (found,) = Measured(objectives=silent).trial().values()
    first = found.items[0]
    assert (first.text, first.tokens_out) == (None, 2)


# -- proxies ---------------------------------------------------------------------------------------

PROXIED = "objectives: {instruction: {proxy: likelihood, tasks: [{task: words, metric: exact}]}}"


def score_proxy(value: float) -> Any:
    """A scorer that gives a proxy of this value, and half of the items' metric."""

    def score(candidate: Any, rung: Rung, progress: Any, items: Any) -> Mapping[str, TaskResult]:
        metrics = {"proxy": MetricValue(value, 0.1), "exact": MetricValue(0.5, 0.1)}
        return {"words": TaskResult("words", metrics, 10, 0)}

    return score


@pytest.mark.parametrize(
    ("value", "is_start", "promoted"),
    [(-0.5, False, True), (-2.0, False, False), (-2.0, True, True)],
)
def test_starts_and_what_no_trial_dominates_are_measured_on_the_metric(
    value: float, is_start: bool, promoted: bool
) -> None:
    run = replace(RUN, axes=(replace(RUN.axes[0], proxy=True),))
    found = Measured(
        run=run,
        values=[[-1.0]],
        is_start=is_start,
        objectives=Objectives.from_yaml(PROXIED, Path()),
        score=score_proxy(value),
    ).trial()
    assert list(found) == [Rung.PROXY, Rung.SEARCH][: 1 + promoted]
    assert found[Rung.PROXY].scores["instruction"].value == value
    if promoted:
        assert found[Rung.SEARCH].scores["instruction"].value == 0.5
        assert found[Rung.SEARCH].build_seconds == 0.0  # it was built once


# -- members of the front, and parents -------------------------------------------------------------


def member(digest: str) -> TrialRecord:
    return trial(5, 0.5, 0.5, recipe=RECIPE.to_dict(), candidate_digest=digest)


def test_a_member_is_measured_on_validate_items() -> None:
    measured = Measured()
    found = measured.measuring.member(member(RECIPE.digest()), lambda: None)
    assert found.failure is None
    assert [rung for rung, _ in measured.bench.scored] == ["validate"]
    assert measured.seen[0] == StageStarted(5, Rung.VALIDATE, "building")


def test_a_member_that_is_rebuilt_otherwise_is_not_scored() -> None:
    measured = Measured()
    found = measured.measuring.member(member("0" * 64), lambda: None)
    assert (found.failure or "").startswith(
        f"trial 5: the rebuilt candidate is {RECIPE.digest()}\n  expected: {'0' * 64}, which"
    )
    assert measured.bench.scored == []
    assert measured.bench.candidates[0].closed


def test_a_parent_is_measured_as_it_is_and_must_not_fail() -> None:
    measured = Measured(parents={"demo:instruct": RECIPE})
    found = measured.measuring.parent("demo:instruct")
    assert found.scores["reasoning"].value == pytest.approx(0.03, abs=0.011)
    (told,) = measured.seen
    assert isinstance(told, ParentMeasured)
    assert (told.parent, told.scores) == ("demo:instruct", found.scores)
    assert told.seconds == found.build_seconds + found.score_seconds
    assert measured.bench.built == [RECIPE]
    broken = Measured(Bench(before_build=fail(BuildError("gone"))), parents={"a": RECIPE})
    with pytest.raises(BuildError, match="gone"):
        broken.measuring.parent("a")
