"""Racing: when a trial goes on, from results that are made up."""

import numpy as np
import pytest
from helpers.objectives_file import load

from mergesearch.objectives import ItemResult
from mergesearch.study.estimation.estimates import Estimates
from mergesearch.study.parts import BLOCK
from mergesearch.study.racing import Race, always_scored, chance_to_add
from mergesearch.study.records import RaceRecord
from mergesearch.study.scored import ScoredItems

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


def test_a_race_ends_where_no_items_are_left():
    race = race_of(UNCHECKED, items=BLOCK)
    assert sorted(run_part(race, always)) == list(range(BLOCK))
    assert run_part(race, always) is None
    chance = pytest.approx(0.992, abs=0.001)
    assert race.record() == RaceRecord(1, 3 * 20, chance, checked=False, stopped=False)


def test_before_its_first_part_nothing_is_decided():
    assert race_of(UNCHECKED).record() == RaceRecord(0, 0, None, checked=False, stopped=False)
