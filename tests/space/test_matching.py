"""Values of one space as values of another."""

from __future__ import annotations

import pytest

from mergesearch.space import Space

LARGE = """
merge_method: {search: [task_arithmetic, ties]}
base_model: large-base
models:
  - {model: large-instruct, parameters: {weight: {search: [0, 1], curve: 4, per: [attn, mlp]}}}
  - {model: large-reason, parameters: {weight: {search: [0, 1.5]}, density: {search: [0.2, 1]}}}
"""
SMALL = """
merge_method: {search: [ties, task_arithmetic]}
base_model: small-base
models:
  - {model: small-instruct, parameters: {weight: {search: [0, 1.5], curve: 2}}}
  - {model: small-reason, parameters: {weight: {search: [0, 1.5]}}}
"""
VALUES = {
    "merge_method": "ties",
    "small-instruct.weight[0]": 0.3,
    "small-instruct.weight[1]": 1.2,
    "small-reason.weight": 0.4,
}


def test_a_sibling_is_matched_by_place_and_a_curve_is_read_off() -> None:
    matching = Space.from_yaml(LARGE).matching(Space.from_yaml(SMALL))
    assert matching.by_place() == {
        "large-instruct.weight": "small-instruct.weight",
        "large-reason.weight": "small-reason.weight",
    }
    assert matching.unmatched() == ["large-reason.density"]
    values = matching.translate(VALUES)
    assert values["merge_method"] == "ties"
    attention = [values[f"large-instruct.weight.attn[{index}]"] for index in range(4)]
    assert attention == pytest.approx([0.3, 0.6, 0.9, 1.0])  # 1.2 is beyond the range
    assert values["large-instruct.weight.rest"] == pytest.approx(0.75)
    assert values["large-reason.weight"] == 0.4
    assert values["large-reason.density"] == 1.0  # what the method does without it


def test_a_space_without_groups_takes_their_mean() -> None:
    matching = Space.from_yaml(SMALL).matching(Space.from_yaml(LARGE))
    given = dict.fromkeys([f"large-instruct.weight.attn[{index}]" for index in range(4)], 0.2)
    given |= dict.fromkeys([f"large-instruct.weight.mlp[{index}]" for index in range(4)], 0.8)
    given |= {"large-instruct.weight.rest": 0.9, "large-reason.weight": 1.5, "merge_method": "ties"}
    values = matching.translate(given)
    assert values["small-instruct.weight[0]"] == pytest.approx(0.5)
    assert values["small-reason.weight"] == 1.5


def test_names_come_before_places() -> None:
    models = (
        "models: [{{model: {}, parameters: {{weight: {{search: [0, 1]}}}}}}, {{model: {}, "
        "parameters: {{weight: {{search: [0, 1]}}}}}}]"
    )
    first = Space.from_yaml("merge_method: linear\n" + models.format("b", "c"))
    second = Space.from_yaml("merge_method: linear\n" + models.format("a", "b"))
    matching = first.matching(second)
    assert matching.translate({"a.weight": 0.1, "b.weight": 0.2}) == {
        "b.weight": 0.2,
        "c.weight": 1.0,
    }
    assert matching.unmatched() == ["c.weight"]


def test_a_choice_that_is_not_offered_is_neutral() -> None:
    text = "base_model: base\nmodels: [{model: a}]\nmerge_method: {search: %s}\n"
    three = Space.from_yaml(text % "[ties, dare_ties, task_arithmetic]")
    two = Space.from_yaml(text % "[task_arithmetic, ties]")
    assert two.matching(three).translate({"merge_method": "dare_ties"}) == {
        "merge_method": "task_arithmetic"
    }
    assert two.matching(three).translate({"merge_method": "ties"}) == {"merge_method": "ties"}
