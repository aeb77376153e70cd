"""How a trial and a front stand, on items whose differences are counted by hand."""

import dataclasses

import numpy as np
import pytest
from helpers.records import measurement, scores, trial

from mergesearch.objectives import ItemResult, Objective, Rung, TaskUse
from mergesearch.study.records import Axis
from mergesearch.study.standing import (
    HypervolumeDifference,
    chance_better,
    hypervolume_difference,
    standing,
)

OBJECTIVES = (
    Objective("instruction", (TaskUse("words", "exact"),), "maximize", 0.0),
    Objective("reasoning", (TaskUse("sums", "acc"),), "maximize", 0.0),
)
RESULTS = {  # by trial: solved words, solved sums
    0: ([1, 1, 0, 1], [0, 0, 0, 1]),
    1: ([0, 0, 0, 1], [1, 1, 1, 1]),
    2: ([1, 1, 1, 1], [0, 1, 1, 1]),
}


def items_of(number: int, which: Rung) -> list[ItemResult]:
    assert which is Rung.SEARCH
    words, sums = RESULTS[number]
    return [
        ItemResult("words", index, {"exact": float(hit)}) for index, hit in enumerate(words)
    ] + [ItemResult("sums", index, {"acc": float(hit)}) for index, hit in enumerate(sums)]


INSTRUCT = trial(0, 0.75, 0.25, shares={"base": 0.0, "instruct": 1.0, "reason": 0.0})
REASON = trial(1, 0.25, 1.0, shares={"base": 0.0, "instruct": 0.0, "reason": 1.0})
MIXTURE = trial(2, 1.0, 0.75)


def test_a_trial_is_compared_with_each_parent_item_by_item() -> None:
    found = standing(MIXTURE, [INSTRUCT, REASON], items_of, OBJECTIVES)
    assert (found.trial, found.rung) == (2, Rung.SEARCH)
    first, second = found.parents
    assert (first.parent, first.trial, second.parent) == ("instruct", 0, "reason")
    # words: differences 0, 0, 1, 0, so 0.25 with the standard error 0.5 / 2, one sigma
    assert first.differences["instruction"].value == 0.25
    assert first.chances["instruction"] == pytest.approx(0.8413, abs=1e-4)
    # sums: differences -1, 0, 0, 0
    assert second.chances["reasoning"] == pytest.approx(0.1587, abs=1e-4)


def test_a_parent_alone_is_compared_with_the_others_only() -> None:
    again = dataclasses.replace(INSTRUCT, number=3)
    found = standing(INSTRUCT, [INSTRUCT, again, REASON], items_of, OBJECTIVES)
    assert [against.trial for against in found.parents] == [1]


def test_validate_items_count_where_both_have_them() -> None:
    confirmed = dataclasses.replace(
        MIXTURE, rungs=dict(MIXTURE.rungs) | {Rung.VALIDATE: measurement(scores(0.9, 0.7))}
    )
    found = standing(confirmed, [INSTRUCT], items_of, OBJECTIVES)
    assert found.rung is Rung.VALIDATE
    assert found.scores["instruction"].value == 0.9
    assert found.parents[0].rung is Rung.SEARCH


def test_too_few_common_items_are_no_comparison() -> None:
    found = standing(
        MIXTURE, [INSTRUCT], lambda number, which: items_of(number, which)[:1], OBJECTIVES
    )
    assert found.parents == ()


def test_the_document_has_intervals_and_chances() -> None:
    document = standing(MIXTURE, [INSTRUCT], items_of, OBJECTIVES).to_dict()
    low, high = document["scores"]["instruction"]["interval"]
    assert (low, high) == pytest.approx((1.0 - 1.96 * 0.0437, 1.0 + 1.96 * 0.0437), abs=1e-4)
    assert document["parents"][0]["chances"] == pytest.approx(
        {"instruction": 0.8413, "reasoning": 0.9585}, abs=1e-3
    )


def test_the_document_is_what_json_has() -> None:
    document = standing(MIXTURE, [INSTRUCT], items_of, OBJECTIVES).to_dict()
    assert (document["rung"], document["confirmed"]) == ("search", False)
    assert document["scores"]["instruction"]["value"] == 1.0
    assert len(document["scores"]["instruction"]["interval"]) == 2
    (parent,) = document["parents"]
    assert (parent["parent"], parent["trial"], parent["rung"]) == ("instruct", 0, "search")
    assert parent["differences"]["instruction"] == {"value": 0.25, "stderr": 0.25, "n": 4}
    assert parent["chances"]["instruction"] == pytest.approx(0.8413, abs=1e-4)


@pytest.mark.parametrize(
    ("value", "stderr", "direction", "chance"),
    [
        (0.0196, 0.01, "maximize", 0.975),
        (0.0196, 0.01, "minimize", 0.025),
        (0.0, 0.01, "maximize", 0.5),
        (0.1, 0.0, "maximize", 1.0),
        (0.1, 0.0, "minimize", 0.0),
        (-0.1, 0.0, "minimize", 1.0),
        (0.0, 0.0, "minimize", 0.5),
    ],
)
def test_the_chance_of_being_better_is_that_of_the_normal_distribution(
    value, stderr, direction, chance
):
    assert chance_better(value, stderr, direction) == pytest.approx(chance, abs=1e-4)


# -- a front against another one -------------------------------------------------------------------

AXES = (Axis("words", "maximize", 0.0), Axis("sums", "maximize", 0.0))
WORDS_AND_SUMS = tuple(
    Objective(name, (TaskUse(name, "exact"),), "maximize", 0.0) for name in ("words", "sums")
)
ITEMS = 400


def results(words: float, sums: float, seed: int) -> list[ItemResult]:
    """Results with exactly these shares of right answers, in an order that the seed shuffles."""
    found = []
    for task, share in (("words", words), ("sums", sums)):
        hits = np.random.default_rng(seed).permutation(np.arange(ITEMS) < share * ITEMS)
        found += [ItemResult(task, item, {"exact": float(hit)}) for item, hit in enumerate(hits)]
    return found


def test_the_difference_is_that_of_both_hypervolumes() -> None:
    ours = {"a": results(0.5, 0.5, 1)}
    theirs = {"b": results(0.4, 0.6, 2), "c": results(0.5, 0.3, 3)}
    found = hypervolume_difference(AXES, WORDS_AND_SUMS, ours, theirs, Rung.SEARCH)
    assert found.ours == pytest.approx(0.25, abs=1e-3)
    assert found.theirs == pytest.approx(0.4 * 0.6 + 0.1 * 0.3, abs=1e-3)
    low, high = found.interval()
    assert low < found.value < high
    # One point of 0.5 each with an error of 0.025: that of their product is 0.018.
    assert 0.015 < found.stderr < 0.04


def test_a_front_against_itself_is_no_difference() -> None:
    front = {"a": results(0.5, 0.5, 1), "b": results(0.3, 0.7, 2)}
    found = hypervolume_difference(AXES, WORDS_AND_SUMS, front, front, Rung.SEARCH)
    assert (found.value, found.stderr) == (0.0, 0.0)


def test_common_items_leave_the_difference() -> None:
    """The same answers but for one item: the error is far below that of one hypervolume."""
    first = results(0.5, 0.5, 1)
    index = next(index for index, item in enumerate(first) if not item.metrics["exact"])
    second = [*first]
    second[index] = ItemResult(first[index].task, first[index].item, {"exact": 1.0})
    found = hypervolume_difference(AXES, WORDS_AND_SUMS, {"b": second}, {"a": first}, Rung.SEARCH)
    assert found.value == pytest.approx(0.5 / ITEMS, rel=0.2)
    assert found.stderr < 0.005


def test_the_interval_is_two_errors_wide() -> None:
    assert HypervolumeDifference(0.12, 0.1, 0.01, Rung.SEARCH).interval() == pytest.approx(
        (0.0004, 0.0396), abs=1e-6
    )
