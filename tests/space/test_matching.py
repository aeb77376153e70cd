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


def one(weight: str) -> Space:
    """A space of one parent whose weight is searched."""
    return Space.from_yaml(
        f"merge_method: task_arithmetic\nbase_model: base\n"
        f"models: [{{model: a, parameters: {{weight: {weight}}}}}]"
    )


@pytest.mark.parametrize(
    ("points", "count", "expected"),
    [
        ([0.5], 3, [0.5, 0.5, 0.5]),
        ([0.0, 1.0, 0.4], 5, [0.0, 0.5, 1.0, 0.7, 0.4]),
        ([0.0, 1.0, 0.4], 2, [0.0, 0.4]),
        ([0.0, 1.0, 0.5], 1, [0.5]),
        ([0.1, 0.9], 2, [0.1, 0.9]),
    ],
)
def test_a_curve_is_read_at_another_number_of_points(
    points: list[float], count: int, expected: list[float]
) -> None:
    """A plain value holds at all of them, and is the mean of a curve."""

    def values(numbers: list[float]) -> dict[str, float]:
        if len(numbers) == 1:
            return {"a.weight": numbers[0]}
        return {f"a.weight[{index}]": number for index, number in enumerate(numbers)}

    wanted, known = (
        one("{search: [0, 1]}" if size == 1 else f"{{search: [0, 1], curve: {size}}}")
        for size in (count, len(points))
    )
    assert wanted.matching(known).translate(values(points)) == pytest.approx(values(expected))


def test_a_factor_of_a_weight_is_no_weight() -> None:
    weight = one("{search: [0, 1]}")
    factor = one("{search: [0, 2], times: 0.5, as: a.weight}")
    assert weight.matching(factor).unmatched() == ["a.weight"]
    assert factor.matching(weight).translate({"a.weight": 0.3}) == {"a.weight": 1.0}
    assert factor.matching(factor).unmatched() == []


def test_of_as_many_choices_the_one_at_the_same_place_is_taken() -> None:
    text = "merge_method: linear\nmodels: [{model: a}, {model: {search: [%s]}}]"
    large, small = (Space.from_yaml(text % names) for names in ("b-14b, c-14b", "b-1b, c-1b"))
    assert large.matching(small).translate({"models[1].model": "c-1b"}) == {
        "models[1].model": "c-14b"
    }
