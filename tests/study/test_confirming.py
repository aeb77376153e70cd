"""Which trials are confirmed, on how many items, and which of them stay."""

import numpy as np
import pytest
from helpers.objectives_file import load

from mergesearch.objectives import Score
from mergesearch.study.confirming import (
    ConfirmedFront,
    budget_shares,
    chances_of_membership,
    combined,
    contenders,
    finalists,
    finalists_parts,
    grouped,
    supported,
)
from mergesearch.study.estimation.estimates import Estimates
from mergesearch.study.records import Axis, Observation

BOTH = ("maximize", "maximize")


def estimates_of(values, error=0.01, trials=None):
    trials = tuple(range(len(values))) if trials is None else trials
    return Estimates(trials, np.array(values), np.stack([error**2 * np.eye(len(values))] * 2))


def chances(estimates):
    return chances_of_membership(estimates, BOTH, np.random.default_rng(0))


def test_members_dominated_ones_and_doubtful_ones_have_the_chances_they_should():
    found = chances(estimates_of([[0.9, 0.1], [0.1, 0.9], [0.5, 0.5], [0.5, 0.5], [0.2, 0.2]]))
    assert found == pytest.approx([1.0, 1.0, 0.75, 0.75, 0.0], abs=0.04)


def test_equal_in_one_objective_and_worse_in_the_other_is_dominated():
    assert chances(estimates_of([[0.5, 0.5], [0.5, 0.4]], 0.0)).tolist() == [1.0, 0.0]


def test_contenders_are_two_hundred_unless_a_front_is_larger():
    axes = (Axis("a", "maximize", 0.0), Axis("b", "maximize", 0.0))
    searched = {number: Observation({}, values=(number, number)) for number in range(210)}
    assert list(contenders(searched, axes)) == list(range(10, 210))


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


def test_a_finalist_has_a_chance_of_a_tenth_at_least():
    assert finalists(np.array([0.12, 0.1, 0.09]), (4, 5, 6), 10) == [4, 5]


def test_parents_are_finalists_whatever_their_chance():
    found = np.array([0.3, 0.01, 0.9, 0.6])
    assert finalists(found, (4, 5, 6, 7), 2, always=[5, 6]) == [6, 7, 5]


def test_most_is_spent_where_doubt_is_most():
    """An even chance gets five times what certainty gets."""
    assert budget_shares(np.array([0.0, 0.5, 1.0])) == pytest.approx([1 / 7, 5 / 7, 1 / 7])


OBJECTIVES = load("""
objectives:
  a: {tasks: [{task: say, metric: exact, search_items: 60, trial_items: 20}]}
  b: {tasks: [{task: say, metric: exact, search_items: 60, trial_items: 20}]}
""")
ORDER = {"say": [7, 3, 9, 1, 8, 2, 0, 5, 6, 4]}


@pytest.mark.parametrize(("budget", "each"), [(0.5, 2), (12.0, 4), (90.0, 10)])
def test_two_sure_members_share_the_budget(budget: float, each: int) -> None:
    """Each gets the beginning of one order: two items of the task at least, all at most.

    A parent alone, trial 6, is scored too, though it surely is no member.
    """
    prior = estimates_of([[0.9, 0.1], [0.1, 0.9], [0.05, 0.05]], trials=(3, 5, 6))
    parts = finalists_parts(prior, OBJECTIVES, ORDER, budget, 0, parents=[6])
    assert list(parts) == [3, 5, 6]
    assert {trial: items["say"] for trial, items in parts.items()} == dict.fromkeys(
        (3, 5, 6), ORDER["say"][:each]
    )


def test_a_small_budget_is_for_few_finalists():
    """Ten items, half of a trial's first part, are the fewest that a finalist gets on average."""
    line = [[0.1 * row, 0.9 - 0.1 * row] for row in range(8)]
    for budget, count in ((5.0, 2), (30.0, 3), (34.0, 3), (36.0, 4), (200.0, 8)):
        assert len(finalists_parts(estimates_of(line), OBJECTIVES, ORDER, budget, 0)) == count


@pytest.mark.parametrize(
    ("values", "members"),
    [
        ([[0.9, 0.1], [0.5, 0.6], [0.4, 0.5], [0.1, 0.9]], [0, 1, 3]),  # dominated
        ([[0.9, 0.1], [0.5, 0.6], [0.503, 0.5], [0.1, 0.9]], [0, 1, 3]),  # nearly dominated
        ([[0.9, 0.1], [0.5, 0.6], [0.504, 0.5], [0.1, 0.9]], [0, 1, 2, 3]),
        ([[0.503, 0.3], [0.5, 0.6], [0.1, 0.9]], [0, 1, 2]),  # the best in an objective stays
    ],
)
def test_a_member_is_better_than_any_other_in_something(values, members):
    """By a quarter of a difference's error, which is 0.0035 here."""
    estimates = estimates_of(values)
    assert supported(estimates, np.full(len(values), 0.5), BOTH) == members


def test_of_two_that_nearly_dominate_each_other_the_likelier_stays():
    estimates = estimates_of(
        [[0.9, 0.1], [0.501, 0.5], [0.5, 0.501], [0.1, 0.9]], trials=(2, 4, 6, 8)
    )
    assert supported(estimates, np.array([1.0, 0.6, 0.4, 1.0]), BOTH) == [2, 4, 8]
    assert supported(estimates, np.array([1.0, 0.4, 0.6, 1.0]), BOTH) == [2, 6, 8]


def test_what_is_minimized_is_better_where_it_is_less():
    estimates = estimates_of([[0.5, 0.4], [0.5, 0.6]])
    assert supported(estimates, np.ones(2), ("maximize", "minimize")) == [0]


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


def test_what_is_known_of_one_trial_is_known_of_both_where_the_error_is_shared():
    """The second is not confirmed at all; its error is the first one's all the same."""
    shared = Estimates((0, 1), np.zeros((2, 1)), 0.04 * np.ones((1, 2, 2)))
    told = Estimates((0, 1), np.zeros((2, 1)), np.array([[[0.04, 0.0], [0.0, 1e6]]]))
    assert combined(shared, told).covariances == pytest.approx(np.full((1, 2, 2), 0.02), abs=1e-6)


def test_a_trial_that_is_another_again_is_its_twin_and_does_not_stay():
    estimates = estimates_of([[0.5, 0.5], [0.5, 0.5]], 0.0)
    assert supported(estimates, np.array([0.9, 0.8]), BOTH) == [0]
    assert grouped(estimates, [0, 1], np.array([0.9, 0.8])) == {0: (1,)}


@pytest.mark.parametrize(("gap", "twins"), [(0.027, [(1,)]), (0.029, [(), ()])])
def test_trials_are_apart_where_zero_is_outside_of_the_interval_of_95_percent(gap, twins):
    """1.96 errors of the difference, 0.0141 here, are 0.0277."""
    estimates = estimates_of([[0.5 + gap, 0.5], [0.5, 0.5 + gap]])
    assert list(grouped(estimates, [0, 1], np.ones(2)).values()) == twins


def test_members_that_cannot_be_told_apart_stand_under_the_likeliest():
    estimates = estimates_of([[0.9, 0.1], [0.505, 0.495], [0.5, 0.5], [0.1, 0.9]])
    found = np.array([1.0, 0.6, 0.7, 1.0])
    assert list(grouped(estimates, [0, 1, 2, 3], found).items()) == [(0, ()), (3, ()), (2, (1,))]


def test_a_paired_error_tells_apart_what_lies_close_together():
    covariance = 0.01**2 * np.ones((2, 2)) + 0.0005**2 * np.eye(2)
    estimates = Estimates(
        (0, 1), np.array([[0.505, 0.495], [0.5, 0.5]]), np.stack([covariance] * 2)
    )
    assert list(grouped(estimates, [0, 1], np.ones(2)).values()) == [(), ()]
    closer = Estimates((0, 1), np.array([[0.501, 0.499], [0.5, 0.5]]), np.stack([covariance] * 2))
    assert list(grouped(closer, [0, 1], np.ones(2)).values()) == [(1,)]


# -- the confirmed front ---------------------------------------------------------------------------

AXES = [Axis("a", "maximize", 0.0), Axis("b", "maximize", 0.0)]


def confirmed(values, error):
    trials = tuple(range(len(values)))
    covariances = np.stack([error**2 * np.eye(len(values))] * 2)
    scores = {axis.name: Score(0.5, error, 100, 0) for axis in AXES}
    return ConfirmedFront.of(
        AXES, Estimates(trials, np.array(values), covariances), dict.fromkeys(trials, scores), 0
    )


def test_what_is_surely_dominated_falls_off():
    front = confirmed([[0.9, 0.1], [0.5, 0.5], [0.4, 0.4], [0.1, 0.9]], 0.01)
    assert [member.trial for member in front.members] == [0, 1, 3]
    assert front.dropped == (2,)


def test_members_that_cannot_be_told_apart_are_one():
    front = confirmed([[0.9, 0.1], [0.51, 0.49], [0.5, 0.5], [0.1, 0.9]], 0.02)
    assert [member.trial for member in front.members] in ([0, 1, 3], [0, 2, 3])
    assert sorted(len(member.twins) for member in front.members) == [0, 0, 1]


def test_what_another_nearly_dominates_falls_off():
    """Trial 2 has surely less of b than trial 1, and hardly more of a."""
    front = confirmed([[0.9, 0.1], [0.5, 0.6], [0.502, 0.5], [0.1, 0.9]], 0.01)
    assert [member.trial for member in front.members] == [0, 1, 3]
    assert front.dropped == (2,)
    assert front.knee == 1
    assert front.hypervolume == pytest.approx(0.9 * 0.1 + 0.5 * 0.5 + 0.1 * 0.3)


def test_the_best_in_an_objective_stays():
    front = confirmed([[0.502, 0.3], [0.5, 0.6], [0.1, 0.9]], 0.01)
    assert [member.trial for member in front.members] == [0, 1, 2]


def test_the_document_gives_the_front_back():
    front = confirmed([[0.9, 0.1], [0.5, 0.5], [0.1, 0.9]], 0.01)
    assert ConfirmedFront.from_dict(front.to_dict()) == front
