import numpy as np
import pytest

from mergesearch.study.confirming import (
    MemberGroup,
    chances_of_membership,
    combined,
    contenders,
    finalists,
    grouped,
)
from mergesearch.study.estimation.estimates import Estimates
from mergesearch.study.records import Axis
from mergesearch.study.samplers import Observation

BOTH = ("maximize", "maximize")


def estimates_of(values, error=0.01, trials=None):
    trials = tuple(range(len(values))) if trials is None else trials
    return Estimates(trials, np.array(values), np.stack([error**2 * np.eye(len(values))] * 2))


def chances(estimates):
    return chances_of_membership(estimates, BOTH, np.random.default_rng(0))


def test_members_dominated_ones_and_doubtful_ones_have_the_chances_they_should():
    found = chances(estimates_of([[0.9, 0.1], [0.1, 0.9], [0.5, 0.5], [0.5, 0.5], [0.2, 0.2]]))
    assert found == pytest.approx([1.0, 1.0, 0.75, 0.75, 0.0], abs=0.04)


def test_contenders_are_the_front_then_that_of_the_others():
    axes = (Axis("a", "maximize", 0.0), Axis("b", "minimize", 1.0))
    values = {3: (0.9, 0.1), 4: (0.8, 0.2), 7: (0.95, 0.3), 8: (0.1, 0.9), 9: (0.85, 0.4)}
    searched = {number: Observation({}, values=value) for number, value in values.items()}
    assert list(contenders(searched, axes, 2)) == [3, 7]
    assert list(contenders(searched, axes, 3)) == [3, 4, 7, 9]
    assert list(contenders(searched, axes)) == [3, 4, 7, 8, 9]


def test_finalists_are_the_likeliest_and_no_hopeless_ones():
    found = np.array([0.3, 0.01, 0.9, 0.6])
    assert finalists(found, (4, 5, 6, 7), 10) == [6, 7, 4]
    assert finalists(found, (4, 5, 6, 7), 2) == [6, 7]


def test_parents_are_finalists_whatever_their_chance():
    found = np.array([0.3, 0.01, 0.9, 0.6])
    assert finalists(found, (4, 5, 6, 7), 2, always=[5, 6]) == [6, 7, 5]


def test_two_equally_sure_estimates_meet_in_the_middle():
    prior = estimates_of([[0.4, 0.4], [0.6, 0.2]], 0.02, trials=(3, 8))
    told = estimates_of([[0.5, 0.5]], 0.02, trials=(8,))
    both = combined(prior, told)
    assert both.trials == (8,)
    assert both.values == pytest.approx(np.array([[0.55, 0.35]]))
    assert both.errors == pytest.approx(np.full((1, 2), 0.02 / np.sqrt(2)))


def test_an_error_shared_in_the_search_moves_what_was_not_wrong_about_the_other():
    """The search items were easy: one trial's confirmation says so for both."""
    shared = np.stack([0.05**2 * np.ones((2, 2)) + 0.001**2 * np.eye(2)] * 2)
    prior = Estimates((0, 1), np.array([[0.5, 0.5], [0.6, 0.4]]), shared)
    noise = np.stack([np.diag([0.001**2, 10.0])] * 2)
    both = combined(prior, Estimates((0, 1), np.array([[0.45, 0.45], [0.0, 0.0]]), noise))
    assert both.values[1] == pytest.approx([0.55, 0.35], abs=0.002)


def test_members_that_cannot_be_told_apart_stand_under_the_likeliest():
    estimates = estimates_of([[0.9, 0.1], [0.505, 0.495], [0.5, 0.5], [0.1, 0.9]])
    found = np.array([1.0, 0.6, 0.7, 1.0])
    assert grouped(estimates, [0, 1, 2, 3], found) == [
        MemberGroup(0, 1.0, ()),
        MemberGroup(3, 1.0, ()),
        MemberGroup(2, 0.7, (1,)),
    ]


def test_a_paired_error_tells_apart_what_lies_close_together():
    covariance = 0.01**2 * np.ones((2, 2)) + 0.0005**2 * np.eye(2)
    estimates = Estimates(
        (0, 1), np.array([[0.505, 0.495], [0.5, 0.5]]), np.stack([covariance] * 2)
    )
    assert [group.twins for group in grouped(estimates, [0, 1], np.ones(2))] == [(), ()]
