"""Objectives of trials from their items: simulated, by hand, and of parts of the items."""

import numpy as np
import pytest

from mergesearch.objectives import ItemResult, Objective, Score, TaskUse
from mergesearch.study.estimation.estimates import Estimates, ScoredItems, estimate, independent

ANSWERS = TaskUse("answers", "exact", weight=3.0)
CHOICES = TaskUse("choices", "acc", weight=1.0, chance=0.25)
REASONING = Objective("reasoning", (ANSWERS, CHOICES), "maximize", 0.0)


def item(task, number, **metrics):
    return ItemResult(task, number, metrics)


def test_an_objective_is_the_weighted_mean_of_its_metrics_above_chance():
    rng = np.random.default_rng(0)
    right = {use.task: rng.random((3, 200)) < 0.6 for use in (ANSWERS, CHOICES)}
    results = {
        trial: [
            item(use.task, number, **{use.metric: float(right[use.task][row, number])})
            for use in (ANSWERS, CHOICES)
            for number in range(200)
        ]
        for row, trial in enumerate((2, 5, 7))
    }
    estimates = estimate([REASONING], results)
    answers, choices = (right[use.task].mean(axis=1) for use in (ANSWERS, CHOICES))
    assert estimates.trials == (2, 5, 7)
    assert estimates.values[:, 0] == pytest.approx(
        0.75 * answers + 0.25 * (choices - 0.25) / 0.75, abs=1e-9
    )
    errors = np.hypot(0.75 * 0.49, 0.25 * 0.49 / 0.75) / np.sqrt(200)
    assert estimates.errors[:, 0] == pytest.approx(errors, rel=0.1)


def test_an_item_that_could_not_be_scored_counts_as_not_scored():
    results = {
        0: [item("answers", 0, exact=1.0), item("answers", 1), item("answers", 2, exact=0.0)],
        1: [item("answers", number, exact=1.0) for number in range(3)],
    }
    objective = Objective("answers", (ANSWERS,), "maximize", 0.0)
    assert estimate([objective], results).values[1, 0] == pytest.approx(1.0)


def test_some_of_the_trials_keep_their_values_and_joint_errors():
    covariances = np.arange(9.0).reshape(1, 3, 3)
    estimates = Estimates((4, 6, 9), np.array([[1.0], [2.0], [3.0]]), covariances)
    some = estimates.of([9, 4])
    assert some.values.tolist() == [[3.0], [1.0]]
    assert some.covariances.tolist() == [[[8.0, 6.0], [2.0, 0.0]]]


def test_draws_have_the_values_and_the_covariance_of_the_estimates():
    covariance = np.array([[[4.0, 3.0], [3.0, 9.0]]])
    estimates = Estimates((0, 1), np.array([[1.0], [-1.0]]), covariance)
    draws = estimates.draws(20000, np.random.default_rng(0))[:, :, 0]
    assert draws.mean(axis=0) == pytest.approx([1.0, -1.0], abs=0.05)
    assert np.cov(draws.T) == pytest.approx(covariance[0], abs=0.2)


def test_a_draw_is_the_value_and_so_many_errors():
    estimates = Estimates((7,), np.array([[1.0]]), np.array([[[4.0]]]))
    (normal,) = np.random.default_rng(0).standard_normal(1)
    assert estimates.draws(1, np.random.default_rng(0)).tolist() == [[[1.0 + 2.0 * normal]]]


def test_rows_of_a_root_multiply_to_the_covariance():
    """Errors that are all in common, and errors of two trials in three quarters."""
    covariances = np.array([[[0.01, 0.01], [0.01, 0.01]], [[0.04, 0.03], [0.03, 0.04]]])
    roots = Estimates((0, 1), np.zeros((2, 2)), covariances).roots
    assert roots @ roots.transpose(0, 2, 1) == pytest.approx(covariances)


def test_without_trials_there_are_no_estimates_of_any_objective():
    objective = Objective("answers", (ANSWERS,), "maximize", 0.0)
    estimates = estimate([objective, REASONING], {})
    assert estimates.trials == ()
    assert estimates.values.shape == (0, 2)
    assert estimates.covariances.shape == (2, 0, 0)


def test_scores_are_estimates_with_errors_of_their_own():
    scores = {
        5: {"answers": Score(0.4, 0.1, 9, 0), "loss": Score(2.0, 0.5, 9, 0)},
        3: {"answers": Score(0.6, 0.2, 9, 0), "loss": Score(1.0, 0.3, 9, 0)},
    }
    estimates = independent(scores, ("loss", "answers"))
    assert estimates.trials == (3, 5)
    assert estimates.values.tolist() == [[1.0, 0.6], [2.0, 0.4]]
    assert estimates.errors == pytest.approx(np.array([[0.3, 0.2], [0.5, 0.1]]))
    assert estimates.covariances[:, 0, 1].tolist() == [0.0, 0.0]


# -- results of trials on parts of the items -------------------------------------------------------

OBJECTIVES = (Objective("a", (TaskUse("words", "exact"),), "maximize", 0.0),)


def results(*values: float, first: int = 0) -> list[ItemResult]:
    return [item("words", first + at, exact=value) for at, value in enumerate(values)]


SCORED = ScoredItems(OBJECTIVES, {0: results(1, 0, 1, 1), 1: results(0, 0, 1, 1)})


def test_one_more_trial_leaves_the_others_as_they_were() -> None:
    more = SCORED.with_trial(5, results(1, 1, first=2))
    assert (len(SCORED), len(more)) == (8, 10)
    assert (5 in SCORED, 5 in more) == (False, True)
    assert more.seen() == {"words": {0: 2, 1: 2, 2: 3, 3: 3}}
    assert SCORED.seen() == {"words": {0: 2, 1: 2, 2: 2, 3: 2}}
    assert more.without({5}).estimates().trials == SCORED.estimates().trials == (0, 1)


def test_the_same_trial_again_is_not_estimated_again() -> None:
    more = SCORED.with_trial(5, results(1, 1))
    assert SCORED.with_trial(5, results(1, 1)) is more
    assert SCORED.with_trial(5, results(1, 0)) is not more
    assert more.without({7}) is more
    assert more.estimates() is more.estimates()


def test_a_score_counts_the_trial_s_own_items_of_the_objective() -> None:
    others = [ItemResult("words", 4, {}, "too long"), item("sums", 0, acc=1.0)]
    score = SCORED.with_trial(2, [*results(1, 0, 1, 1), *others]).scores(2)["a"]
    assert (score.n, score.n_unscored) == (4, 1)
    assert score.value == pytest.approx(0.75, abs=0.05)
    assert 0 < score.stderr < 0.3


def test_nothing_scored_tells_nothing() -> None:
    assert ScoredItems(OBJECTIVES, {}).estimates().trials == ()
