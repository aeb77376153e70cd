"""Racing: which items a trial is scored on, when it goes on, and what that brought."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from helpers import records
from helpers.objectives_file import load

from mergesearch.objectives import ItemResult, Rung, Score
from mergesearch.study import racing
from mergesearch.study.estimation.estimates import Estimates, ScoredItems
from mergesearch.study.front import Front
from mergesearch.study.racing import (
    BLOCK,
    REPEATS,
    Race,
    Racing,
    always_scored,
    chance_to_add,
    most_items,
    next_items,
)
from mergesearch.study.records import Axis, Measurement, RaceRecord, TrialRecord

BOTH = ("maximize", "maximize")


def estimates_of(values, covariance):
    return Estimates(tuple(range(len(values))), np.array(values), np.stack([covariance] * 2))


def chance(values, covariance, directions=BOTH, trial=0):
    rng = np.random.default_rng(0)
    return chance_to_add(estimates_of(values, covariance), trial, directions, rng)


def test_the_chance_of_a_candidate_against_one_other_is_that_of_the_normal_distribution():
    """It is dominated where it loses on both sides: one half times one half."""
    assert chance([[0.5, 0.5], [0.5, 0.5]], 0.01 * np.eye(2)) == pytest.approx(0.75, abs=0.04)


def test_a_candidate_far_below_another_adds_nothing():
    assert chance([[0.2, 0.2], [0.5, 0.5]], 0.0001 * np.eye(2)) == 0.0


def test_a_candidate_with_a_side_of_its_own_adds():
    assert chance([[0.2, 0.9], [0.5, 0.5]], 0.0001 * np.eye(2)) == 1.0


def test_what_candidates_have_in_common_decides_nothing():
    """The same items were hard for both: the difference is known far better than the values."""
    shared = 0.01 * np.ones((2, 2)) + 0.00001 * np.eye(2)
    assert chance([[0.45, 0.45], [0.5, 0.5]], 0.01 * np.eye(2)) > 0.4
    assert chance([[0.45, 0.45], [0.5, 0.5]], shared) == 0.0


def test_less_is_more_where_an_objective_is_minimized():
    assert chance([[0.2, 0.2], [0.5, 0.5]], 0.0001 * np.eye(2), ("minimize", "maximize")) == 1.0


def test_a_candidate_that_is_another_again_adds_nothing():
    assert chance([[0.5, 0.5], [0.5, 0.5]], np.zeros((2, 2))) == 0.0


def test_a_tenth_of_the_trials_is_scored_whatever_happens_and_always_the_same():
    chosen = [trial for trial in range(1000) if always_scored(0, trial)]
    assert 70 < len(chosen) < 130
    assert chosen == [trial for trial in range(1000) if always_scored(0, trial)]
    assert chosen != [trial for trial in range(1000) if always_scored(1, trial)]
    assert chosen[:4] == [1, 6, 9, 16]


# -- the race of one trial -------------------------------------------------------------------------

OBJECTIVES = load(
    "objectives: {o: {tasks: [{task: say, metric: exact, search_items: 60, trial_items: 20}]}}"
)
UNCHECKED, CHECKED = 2, 1  # of seed 0


def results_on(items, right):
    """What a candidate gave on items of `say`; of each item two tokens are read and one written."""
    return [
        ItemResult("say", item, {"exact": float(right(item))}, tokens_in=2, tokens_out=1)
        for item in items
    ]


def race_of(trial, *, is_start=False, items=60):
    """A race against one trial that has three of four items right."""
    known = results_on(range(items), lambda item: item % 4 > 0)
    scored = ScoredItems(OBJECTIVES.objectives, {0: known})
    return Race(OBJECTIVES, {"say": list(range(items))}, scored, trial, 0, is_start=is_start)


def run_part(race, right):
    """Score a candidate on the next part; return its items, None where the race has ended."""
    part = race.next_part()
    if part is None:
        return None
    race.take(results_on(part["say"], right))
    return part["say"]


def never(item):
    return False


def always(item):
    return True


def test_a_trial_that_may_add_is_scored_on_two_parts_of_different_items():
    race = race_of(UNCHECKED)
    first, second = run_part(race, always), run_part(race, always)
    assert len(first) == len(second) == BLOCK
    assert not set(first) & set(second)
    assert run_part(race, always) is None
    assert race.record() == RaceRecord(2, 3 * 40, 1.0, checked=False, stopped=False)
    assert race.scores()["o"].n == 40


def test_a_trial_that_surely_adds_nothing_stops_after_its_first_part():
    race = race_of(UNCHECKED)
    run_part(race, never)
    assert run_part(race, never) is None
    assert race.record() == RaceRecord(1, 3 * 20, 0.0, checked=False, stopped=True)


def test_a_trial_that_was_drawn_beforehand_goes_on_nevertheless():
    race = race_of(CHECKED)
    run_part(race, never)
    assert run_part(race, never) is not None
    assert race.record() == RaceRecord(2, 3 * 40, 0.0, checked=True, stopped=False)


def test_a_start_goes_on_and_is_never_checked():
    race = race_of(CHECKED, is_start=True)
    run_part(race, never)
    assert run_part(race, never) is not None
    assert race.record() == RaceRecord(2, 3 * 40, None, checked=False, stopped=False)


def test_at_even_chances_a_trial_goes_on(monkeypatch):
    monkeypatch.setattr(racing, "chance_to_add", lambda *known: 0.5)
    race = race_of(UNCHECKED)
    run_part(race, never)
    assert run_part(race, never) is not None
    assert race.record() == RaceRecord(2, 3 * 40, 0.5, checked=False, stopped=False)


def test_a_race_ends_where_no_items_are_left():
    race = race_of(UNCHECKED, items=BLOCK)
    assert sorted(run_part(race, always)) == list(range(BLOCK))
    assert run_part(race, always) is None
    chance = pytest.approx(0.992, abs=0.001)
    assert race.record() == RaceRecord(1, 3 * 20, chance, checked=False, stopped=False)


def test_before_its_first_part_nothing_is_decided():
    assert race_of(UNCHECKED).record() == RaceRecord(0, 0, None, checked=False, stopped=False)


@pytest.mark.parametrize(
    ("sizes", "items"),
    [
        ("search_items: 60, trial_items: 20", 40),
        ("search_items: 60, trial_items: 50", 60),
        ("search_items: 60", 60),
    ],
)
def test_a_trial_is_scored_on_two_parts_or_all_items_at_most(sizes, items):
    one_task = f"objectives: {{o: {{tasks: [{{task: say, metric: exact, {sizes}}}]}}}}"
    assert most_items(load(one_task)) == items


# -- which items a trial is scored on --------------------------------------------------------------

ORDER = {"answers": [number * 7 % 1000 for number in range(1000)]}


def seen_after(trials, size=100, order=ORDER):
    """How many of so many trials were scored on each item, a part each."""
    seen = Counter()
    for trial in range(trials):
        rng = np.random.default_rng(trial)
        part = next_items(order, {"answers": size}, {"answers": seen}, {}, rng)["answers"]
        seen.update(part)
    return seen


def test_a_part_is_whole_blocks_of_the_order():
    part = list(seen_after(1))
    order = ORDER["answers"]
    starts = [order.index(part[index]) for index in range(0, len(part), BLOCK)]
    assert all(start % BLOCK == 0 for start in starts)
    assert part == [item for start in starts for item in order[start : start + BLOCK]]


def test_the_first_trials_share_the_first_items():
    seen = seen_after(4)
    assert set(seen) == set(ORDER["answers"][:200])
    assert set(seen.values()) == {2}


def test_more_items_come_into_use_as_more_is_seen_after():
    seen = seen_after(60)
    assert len(seen) == 60 * 100 // REPEATS
    assert max(seen.values()) <= REPEATS + 4


FIRST, SECOND, THIRD = (range(start, start + BLOCK) for start in (0, BLOCK, 2 * BLOCK))


def first_blocks(seen):
    """Where the items that ten trials get next begin, half a block each."""
    order = {"answers": [*FIRST, *SECOND, *THIRD]}
    generators = map(np.random.default_rng, range(10))
    parts = [next_items(order, {"answers": 10}, {"answers": seen}, {}, rng) for rng in generators]
    return {part["answers"][0] for part in parts}


@pytest.mark.parametrize(("times", "start"), [(REPEATS - 1, 0), (REPEATS, BLOCK)])
def test_a_block_comes_into_use_with_the_results_that_one_more_item_takes(times, start):
    seen = dict.fromkeys(FIRST, REPEATS) | {SECOND[0]: times}
    assert first_blocks(seen) == {start}


# Results that bring three blocks into use; the third has more of them than the others.
MANY = dict.fromkeys(THIRD, 3 * REPEATS)


def test_items_that_nobody_has_seen_come_before_those_that_one_trial_has():
    assert first_blocks(MANY | dict.fromkeys(FIRST, 1)) == {BLOCK}


def test_blocks_that_about_equally_many_have_seen_come_in_any_order():
    assert first_blocks(MANY | {FIRST[0]: 1}) == {0, BLOCK}


def test_a_trial_that_goes_on_gets_items_it_has_not_seen():
    rng = np.random.default_rng(0)
    first = next_items(ORDER, {"answers": 100}, {}, {}, rng)["answers"]
    second = next_items(ORDER, {"answers": 900}, {}, {"answers": first}, rng)["answers"]
    assert sorted(first + second) == list(range(1000))


def test_what_is_left_is_all_there_is():
    rng = np.random.default_rng(0)
    part = next_items({"few": [3, 1, 2]}, {"few": 10}, {}, {}, rng)
    assert part == {"few": [3, 1, 2]}


# -- what racing brought ---------------------------------------------------------------------------

AXES = (Axis("a", "maximize", 0.0), Axis("b", "maximize", 0.0))
NOW = datetime(2030, 1, 1, tzinfo=UTC)


def trial_with(number: int, values: tuple[float, float], race: RaceRecord | None) -> TrialRecord:
    scores = {name: Score(value, 0.02, 100, 0) for name, value in zip("ab", values, strict=True)}
    rungs = {Rung.SEARCH: Measurement(scores, (), 1.0, 4.0, None, NOW)}
    return records.trial(number, *values, race=race, rungs=rungs)


START = RaceRecord(parts=2, tokens=200, chance=None, checked=False, stopped=False)
WENT_ON = RaceRecord(parts=2, tokens=210, chance=0.8, checked=True, stopped=False)
STOPPED = RaceRecord(parts=1, tokens=90, chance=0.1, checked=False, stopped=True)
WAS_CHECKED = RaceRecord(parts=2, tokens=190, chance=0.2, checked=True, stopped=False)


def test_what_stopped_trials_would_have_taken_is_saved() -> None:
    trials = [trial_with(0, (0.5, 0.5), START), trial_with(1, (0.2, 0.2), STOPPED)]
    assert Racing.of(trials, {0}) == Racing(
        stopped=1, tokens=290, tokens_saved=90, seconds_saved=4.0, checked=0, wrong=0
    )


@pytest.mark.parametrize(("parts", "tokens", "seconds"), [(1, 180, 8.0), (2, 45, 2.0)])
def test_of_three_parts_those_that_are_left_are_saved(
    monkeypatch: pytest.MonkeyPatch, parts: int, tokens: int, seconds: float
) -> None:
    monkeypatch.setattr(racing, "PARTS", 3)
    brought = Racing.of([trial_with(0, (0.2, 0.2), replace(STOPPED, parts=parts))], ())
    assert brought is not None
    assert (brought.tokens_saved, brought.seconds_saved) == (tokens, seconds)


def test_a_trial_that_was_scored_on_although_it_looked_bad_tells_whether_that_is_wrong() -> None:
    """Three looked bad, of which one is a member; at even chances a trial goes on anyway."""
    even = replace(WAS_CHECKED, chance=0.5)
    races = [WAS_CHECKED, WAS_CHECKED, WAS_CHECKED, WENT_ON, even]
    trials = [trial_with(number, (0.5, 0.5), race) for number, race in enumerate(races)]
    brought = Racing.of(trials, {1, 3, 4})
    assert brought is not None
    assert (brought.checked, brought.wrong) == (3, 1)


def test_a_run_on_all_items_has_no_race() -> None:
    assert Racing.of([trial_with(0, (0.5, 0.5), None)], {0}) is None
    assert "racing" not in Front.of(AXES, [trial_with(0, (0.5, 0.5), None)]).to_dict()


def test_a_stopped_trial_is_no_member_whatever_its_estimate() -> None:
    front = Front.of(AXES, [trial_with(0, (0.5, 0.5), START), trial_with(1, (0.6, 0.6), STOPPED)])
    assert [member.trial for member in front.members] == [0]
    assert front.to_dict()["racing"] == {
        "stopped": 1,
        "tokens": 290,
        "tokens_saved": 90,
        "seconds_saved": 4.0,
        "checked": 0,
        "wrong": 0,
    }
