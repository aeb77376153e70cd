"""Results of trials on parts of the items, by hand."""

import pytest

from mergesearch.objectives import ItemResult, Objective, TaskUse
from mergesearch.study.estimation.estimates import ScoredItems

OBJECTIVES = (Objective("a", (TaskUse("words", "exact"),), "maximize", 0.0),)


def results(*values: float, first: int = 0) -> list[ItemResult]:
    return [ItemResult("words", first + at, {"exact": value}) for at, value in enumerate(values)]


SCORED = ScoredItems(OBJECTIVES, {0: results(1, 0, 1, 1), 1: results(0, 0, 1, 1)})


def test_one_more_trial_leaves_the_others_as_they_were() -> None:
    more = SCORED.with_trial(5, results(1, 1, first=2))
    assert (len(SCORED), len(more)) == (8, 10)
    assert more.seen() == {"words": {0: 2, 1: 2, 2: 3, 3: 3}}
    assert SCORED.seen() == {"words": {0: 2, 1: 2, 2: 2, 3: 2}}
    assert more.without({5}).estimates().trials == SCORED.estimates().trials == (0, 1)


def test_the_same_trial_again_is_not_estimated_again() -> None:
    more = SCORED.with_trial(5, results(1, 1))
    assert SCORED.with_trial(5, results(1, 1)) is more
    assert SCORED.with_trial(5, results(1, 0)) is not more
    assert more.without({7}) is more


def test_a_score_counts_the_trial_s_own_items() -> None:
    unscored = ItemResult("words", 4, {}, "too long")
    score = SCORED.with_trial(2, [*results(1, 0, 1, 1), unscored]).scores(2)["a"]
    assert (score.n, score.n_unscored) == (4, 1)
    assert score.value == pytest.approx(0.75, abs=0.05)
    assert 0 < score.stderr < 0.3


def test_nothing_scored_tells_nothing() -> None:
    assert ScoredItems(OBJECTIVES, {}).estimates().trials == ()
