import numpy as np
import pytest

from mergesearch.study.estimation.estimates import Estimates
from mergesearch.study.racing import always_scored, chance_to_add

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


def test_a_tenth_of_the_trials_is_scored_whatever_happens_and_always_the_same():
    chosen = [trial for trial in range(1000) if always_scored(0, trial)]
    assert 70 < len(chosen) < 130
    assert chosen == [trial for trial in range(1000) if always_scored(0, trial)]
    assert chosen != [trial for trial in range(1000) if always_scored(1, trial)]
