"""Which dimensions a hole makes."""

from __future__ import annotations

import pytest
from helpers.spaces import SPACE, TWO_ROUNDS

from mergesearch.errors import SpaceError
from mergesearch.space import Space


def test_holes_become_named_dimensions_in_order() -> None:
    space = Space.from_yaml(SPACE)
    assert [dimension.name for dimension in space.dimensions] == [
        "merge_method",
        "a.weight",
        "a.density",
        "b.weight.attn[0]",
        "b.weight.attn[1]",
        "b.weight.attn[2]",
        "b.weight.rest",
        "lambda",
    ]
    assert space.dimensions[0].choices == ("task_arithmetic", "ties")
    assert (space.dimensions[3].low, space.dimensions[3].high) == (0.0, 2.0)


def test_whole_numbers_are_chosen_from_a_list() -> None:
    document = """
merge_method: karcher
models: [{model: a}, {model: b}]
parameters: {max_iter: {search: %s}}
"""
    space = Space.from_yaml(document % "[5, 10, 50]")
    assert space.recipe({"max_iter": 10.0}).last.parameters == {"max_iter": 10}
    with pytest.raises(SpaceError, match="max_iter takes whole numbers only"):
        Space.from_yaml(document % "[5, 50]")


def test_holes_of_stages_carry_the_stages_name() -> None:
    space = Space.from_yaml(TWO_ROUNDS)
    assert [dimension.name for dimension in space.dimensions] == [
        "mixture.weight",
        "models[1].model",
        "models[1].weight",
        "mixture.merge_method",
        "mixture.instruct.weight",
        "mixture.reason.weight",
        "mixture.t",
    ]
    assert space.parents() == ("instruct", "reason", "chat", "polite")
    assert space.stages() == ("mixture",)


def test_a_switch_is_a_choice() -> None:
    """Also where it is written with numbers."""
    document = """
merge_method: linear
models: [{model: a}, {model: b}]
parameters: {normalize: {search: %s}}
"""
    for search in ("[false, true]", "[0, 1]"):
        space = Space.from_yaml(document % search)
        assert space.dimensions[0].choices == (False, True)
        assert space.recipe({"normalize": True}).last.parameters == {"normalize": True}
    with pytest.raises(SpaceError, match="normalize is a switch"):
        Space.from_yaml(document % "[0, 2]")


@pytest.mark.parametrize(
    "search", ["[0, .inf]", "[.nan, 1]", "[0, 1, .inf]", "[0, a]", "[1, b, 2]"]
)
def test_a_number_is_searched_among_finite_numbers(search: str) -> None:
    weight = f"{{search: {search}}}"
    model = f"{{model: a, parameters: {{weight: {weight}}}}}"
    with pytest.raises(SpaceError):
        Space.from_yaml(f"merge_method: linear\nmodels: [{model}]")
