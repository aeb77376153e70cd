"""A candidate scored on some of a rung's items."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mergesearch.errors import ScoringError
from mergesearch.objectives import Rung, part_of
from mergesearch.scoring.scorer import Scorer

THIRDS = ((0.0, 0.3), (0.3, 0.7), (0.7, 1.0))


@pytest.fixture(scope="module")
def scorer(objectives):
    return Scorer(objectives)


def _without_times(results):
    return {
        name: replace(result, items=tuple(replace(item, seconds=0.0) for item in result.items))
        for name, result in results.items()
    }


def _parts(scorer):
    return [part_of(scorer.questionnaire.order(Rung.SEARCH), *ends) for ends in THIRDS]


def test_the_whole_as_a_part_is_the_rung_to_the_bit(scorer, q4):
    whole = part_of(scorer.questionnaire.order(Rung.SEARCH), 0.0, 1.0)
    found = scorer.score(q4, Rung.SEARCH, whole)
    assert _without_times(found) == _without_times(scorer.score(q4, Rung.SEARCH))


def test_parts_are_the_rung_s_items_each_once(scorer, q4):
    whole = scorer.score(q4, Rung.SEARCH)
    scored = [scorer.score(q4, Rung.SEARCH, part) for part in _parts(scorer)]
    for name, result in whole.items():
        items = [item for part in scored for item in part[name].items]
        assert sorted(item.item for item in items) == [item.item for item in result.items]
    answers = {item.item: item for item in whole["tiny_choice"].items}
    for part in scored:  # chunks end elsewhere, and what shares a batch moves log-probabilities
        for item in part["tiny_choice"].items:
            assert item.tokens_in == answers[item.item].tokens_in


def test_a_part_gives_the_same_bits_again_whatever_the_order_of_its_items(scorer, q4):
    part = _parts(scorer)[1]
    backwards = {task: numbers[::-1] for task, numbers in reversed(part.items())}
    found = [_without_times(scorer.score(q4, Rung.SEARCH, items)) for items in (part, backwards)]
    assert found[0] == found[1]


def test_progress_and_results_are_of_the_part(scorer, q4):
    numbers = scorer.questionnaire.order(Rung.SEARCH)["tiny_choice"][5:12]
    seen = []
    found = scorer.score(q4, Rung.SEARCH, {"tiny_choice": numbers}, on_progress=seen.append)
    assert list(found) == ["tiny_choice"]
    assert [item.item for item in found["tiny_choice"].items] == sorted(numbers)
    accuracy = [item.metrics["acc"] for item in found["tiny_choice"].items]
    assert found["tiny_choice"].metrics["acc"].value == pytest.approx(sum(accuracy) / 7)
    assert [(progress.task, progress.done, progress.total) for progress in seen] == [
        ("tiny_choice", 7, 7)
    ]


def test_items_of_another_rung_or_task_are_refused(scorer, q4):
    validate = scorer.questionnaire.order(Rung.VALIDATE)["tiny_choice"][:1]
    with pytest.raises(ScoringError, match="is not among the search items"):
        scorer.score(q4, Rung.SEARCH, {"tiny_choice": validate})
    with pytest.raises(ScoringError, match="tiny_chance: item 3 is not among"):
        scorer.score(q4, Rung.SEARCH, {"tiny_chance": [3]})


def test_means_over_items_are_known_from_other_metrics(scorer):
    means = {name: task.means() for name, task in scorer.questionnaire.tasks.items()}
    assert means == {"tiny_answer": ["exact"], "tiny_choice": ["acc"], "tiny_text": []}
