"""Confirming a front, with pretended records and scorings."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

from helpers.records import AXES, RUN, measurement, scores, trial
from helpers.study_fakes import search

from mergesearch.objectives import Rung, Score
from mergesearch.study.estimation.estimates import independent
from mergesearch.study.events import Event, Validated, ValidationStarted
from mergesearch.study.front import Front
from mergesearch.study.records import Measurement, Observation, TrialRecord
from mergesearch.study.validating import Validating
from mergesearch.study.workers import Worker

SEARCHED = (trial(0, 0.8, 0.3), trial(1, 0.2, 0.9), trial(2, 0.5, 0.5), trial(3, 0.1, 0.1))


class PretendedRecords:
    """Records of a run whose members are confirmed with the scores that they are given."""

    def __init__(self, found: tuple[TrialRecord, ...], worker: Worker) -> None:
        self.found = list(found)
        self.worker = worker
        self.concluded: dict[str, Any] = {}
        self.study = SimpleNamespace(conclude=self.concluded.update)

    def run(self) -> Any:
        return RUN

    def trials(self) -> tuple[TrialRecord, ...]:
        return tuple(self.found)

    def front(self) -> Front:
        return Front.of(AXES, self.found)

    def searched(self) -> dict[int, Observation]:
        return {
            found.number: Observation(
                {}, values=tuple(score.value for score in found.scores().values())
            )
            for found in self.found
        }

    def is_validated(self, number: int) -> bool:
        return bool(self.found[number].scores(Rung.VALIDATE))

    def confirm(self, number: int, measured: Measurement) -> TrialRecord:
        rungs = {"validate": measurement(measured.scores, measured.failure)}
        before = self.found[number]
        self.found[number] = trial(number, 0, 0, rungs={**before.rungs, **rungs})
        return self.found[number]


class Confirming:
    """Validating with pretended parts; a member whose number fails has no scores."""

    def __init__(
        self,
        found: tuple[TrialRecord, ...] = SEARCHED,
        worker: Worker | None = None,
        fails: int = -1,
    ) -> None:
        self.records = PretendedRecords(found, worker or Worker())
        self.seen: list[Event] = []
        self.measured: list[int] = []
        self._fails = fails

    def run(self) -> None:
        records: Any = self.records
        parts: Any = SimpleNamespace(
            proposer=SimpleNamespace(shrunk=self._shrunk),
            measuring=SimpleNamespace(member=self._measure),
            guard=SimpleNamespace(check=lambda: None, interruptible=nullcontext),
        )
        Validating(
            search(), records, parts.proposer, parts.guard, self.seen.append, parts.measuring, 0.2
        ).run("4 trials are done")

    def _shrunk(self, contenders: dict[int, Observation]) -> Any:
        known = {number: self.records.found[number].scores() for number in contenders}
        return independent(known, [axis.name for axis in AXES])

    def _measure(self, member: Any, following: Any, items: Any) -> Measurement:
        assert (following(), items) == (None, None)  # nothing is built ahead, and all is scored
        self.measured.append(member.number)
        if member.number == self._fails:
            return Measurement(failure="the scoring process died")
        values = self.records.found[member.number].scores().values()
        return Measurement(scores(*(score.value - 0.01 for score in values)))


def test_members_are_confirmed_in_the_order_of_the_front() -> None:
    confirming = Confirming()
    confirming.run()
    assert confirming.measured == [0, 2, 1]
    assert confirming.seen[0] == ValidationStarted("4 trials are done", (0, 2, 1))
    assert [type(event) for event in confirming.seen[1:]] == [Validated] * 3
    found = confirming.records.concluded
    assert sorted(member["trial"] for member in found["members"]) == [0, 1, 2]


def test_what_was_confirmed_before_is_not_scored_again() -> None:
    done: dict[str, Score] = scores(0.79, 0.29)
    first = trial(0, 0, 0, rungs={**SEARCHED[0].rungs, "validate": measurement(done)})
    confirming = Confirming((first, *SEARCHED[1:]))
    confirming.run()
    assert confirming.measured == [2, 1]


def test_a_member_that_could_not_be_scored_is_no_member_of_the_confirmed_front() -> None:
    confirming = Confirming(fails=2)
    confirming.run()
    assert confirming.measured == [0, 2, 1]
    found = confirming.records.concluded
    assert sorted(member["trial"] for member in found["members"]) == [0, 1]
    assert 2 not in found["dropped"]


def test_where_none_could_be_scored_nothing_is_concluded() -> None:
    confirming = Confirming(SEARCHED[:1], fails=0)
    confirming.run()
    assert (confirming.measured, confirming.records.concluded) == ([0], {})


def test_without_scored_trials_nothing_is_begun() -> None:
    confirming = Confirming(())
    confirming.run()
    assert (confirming.seen, confirming.records.concluded) == ([], {})


class OneOfTwo(Worker):
    """A worker beside another one, which confirms trial 2 and is lost once."""

    def __init__(self) -> None:
        super().__init__()
        self.ended: list[int] = []
        self.rounds = 0

    def may_confirm(self, trial: int) -> bool:
        return trial != 2 or self.rounds > 0

    def end_confirming(self, trial: int) -> None:
        self.ended.append(trial)

    def others_confirm(self) -> bool:
        return self.rounds == 0

    def pause(self) -> None:
        self.rounds += 1


def test_what_a_lost_worker_leaves_is_taken_in_the_next_round() -> None:
    worker = OneOfTwo()
    confirming = Confirming(worker=worker)
    confirming.run()
    assert confirming.measured == [0, 1, 2]
    assert worker.ended == [0, 1, 2]
