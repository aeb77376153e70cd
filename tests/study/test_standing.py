"""How a trial stands, on recorded items whose differences are counted by hand."""

import dataclasses

import pytest
from helpers.records import measurement, scores, trial

from mergesearch.objectives import ItemResult, Objective, Rung, TaskUse
from mergesearch.study.standing import chance_better, standing

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
