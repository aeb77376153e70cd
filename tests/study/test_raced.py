"""What racing brought, from records alone."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from mergesearch.objectives import Rung, Score
from mergesearch.study import raced
from mergesearch.study.front import Front
from mergesearch.study.raced import Racing
from mergesearch.study.records import Axis, Measurement, RaceRecord, State, TrialRecord

AXES = (Axis("a", "maximize", 0.0), Axis("b", "maximize", 0.0))
NOW = datetime(2030, 1, 1, tzinfo=UTC)


def trial(number: int, values: tuple[float, float], race: RaceRecord | None) -> TrialRecord:
    scores = {name: Score(value, 0.02, 100, 0) for name, value in zip("ab", values, strict=True)}
    known: dict[str, Any] = {
        "number": number,
        "state": State.COMPLETE,
        "attempt": 1,
        "parameters": {},
        "recipe": {},
        "recipe_digest": "",
        "shares": {},
        "candidate_digest": f"c{number}",
        "candidate_size": 1,
        "reused_from": None,
        "failure": None,
        "started": NOW,
        "ended": NOW,
        "rungs": {Rung.SEARCH: Measurement(scores, (), 1.0, 4.0, None, NOW)},
    }
    return TrialRecord(**known, race=race)


START = RaceRecord(parts=2, tokens=200, chance=None, checked=False, stopped=False)
WENT_ON = RaceRecord(parts=2, tokens=210, chance=0.8, checked=True, stopped=False)
STOPPED = RaceRecord(parts=1, tokens=90, chance=0.1, checked=False, stopped=True)
CHECKED = RaceRecord(parts=2, tokens=190, chance=0.2, checked=True, stopped=False)


def test_what_stopped_trials_would_have_taken_is_saved() -> None:
    trials = [trial(0, (0.5, 0.5), START), trial(1, (0.2, 0.2), STOPPED)]
    assert Racing.of(trials, {0}) == Racing(
        stopped=1, tokens=290, tokens_saved=90, seconds_saved=4.0, checked=0, wrong=0
    )


def test_of_three_parts_two_are_saved_after_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raced, "PARTS", 3)
    racing = Racing.of([trial(0, (0.2, 0.2), STOPPED)], ())
    assert racing is not None
    assert (racing.tokens_saved, racing.seconds_saved) == (180, 8.0)


def test_a_trial_that_was_scored_on_although_it_looked_bad_tells_whether_that_is_wrong() -> None:
    """Three looked bad, of which one is a member; at even chances a trial goes on anyway."""
    even = replace(CHECKED, chance=0.5)
    races = [CHECKED, CHECKED, CHECKED, WENT_ON, even]
    trials = [trial(number, (0.5, 0.5), race) for number, race in enumerate(races)]
    racing = Racing.of(trials, {1, 3, 4})
    assert racing is not None
    assert (racing.checked, racing.wrong) == (3, 1)


def test_a_run_on_all_items_has_no_race() -> None:
    assert Racing.of([trial(0, (0.5, 0.5), None)], {0}) is None
    assert "racing" not in Front.of(AXES, [trial(0, (0.5, 0.5), None)]).to_dict()


def test_a_stopped_trial_is_no_member_whatever_its_estimate() -> None:
    front = Front.of(AXES, [trial(0, (0.5, 0.5), START), trial(1, (0.6, 0.6), STOPPED)])
    assert [member.trial for member in front.members] == [0]
    assert front.to_dict()["racing"] == {
        "stopped": 1,
        "tokens": 290,
        "tokens_saved": 90,
        "seconds_saved": 4.0,
        "checked": 0,
        "wrong": 0,
    }
