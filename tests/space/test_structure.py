"""Spaces in which the parents, the base and the merges before the last are searched."""

from __future__ import annotations

import random
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mergesearch.errors import SpaceError
from mergesearch.space import Space

TWO_ROUNDS = """
name: mixture
merge_method: {search: [linear, slerp]}
base_model: instruct
models:
  - {model: instruct, parameters: {weight: {search: [0, 1]}}}
  - {model: reason, parameters: {weight: {search: [0, 1]}}}
parameters: {t: {search: [0, 1]}}
---
merge_method: linear
models:
  - {model: mixture, parameters: {weight: {search: [0, 1]}}}
  - {model: {search: [chat, polite, null]}, parameters: {weight: {search: [0, 1]}}}
start_from: [parents, {ratio: {instruct: 3, reason: 3, chat: 2}}]
"""


def values_of(space: Space, seed: int) -> dict[str, Any]:
    numbers = random.Random(seed)
    return {
        one.name: numbers.choice(one.choices) if one.choices else numbers.uniform(one.low, one.high)
        for one in space.dimensions
    }


def test_holes_of_stages_carry_the_stages_name() -> None:
    space = Space.from_yaml(TWO_ROUNDS)
    assert [one.name for one in space.dimensions] == [
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


def test_an_absent_model_leaves_its_input_out() -> None:
    space = Space.from_yaml(TWO_ROUNDS)
    values = values_of(space, 1)
    chosen = space.recipe(values | {"models[1].model": "polite"})
    assert [one.model for one in chosen.last.inputs] == ["mixture", "polite"]
    alone = space.recipe(values | {"models[1].model": None})
    assert [one.model for one in alone.last.inputs] == ["mixture"]


def test_a_stage_that_nothing_uses_is_left_out() -> None:
    document = {
        "merge_method": "linear",
        "models": [{"model": "a"}, {"model": {"search": ["mix", None]}}],
        "stages": [
            {"name": "mix", "merge_method": "linear", "models": [{"model": "first"}]},
            {"name": "first", "merge_method": "linear", "models": [{"model": "b"}]},
        ],
    }
    space = Space(document)
    assert space.recipe({"models[1].model": "mix"}).stages() == ("first", "mix")
    assert space.recipe({"models[1].model": None}).stages() == ()
    assert space.parents() == ("b", "a")


@given(st.integers(0, 10_000))
def test_parameters_of_inverts_recipe(seed: int) -> None:
    """With stages, left out ones, and inputs left out."""
    space = Space.from_yaml(TWO_ROUNDS)
    recipe = space.recipe(values_of(space, seed))
    assert space.recipe(space.parameters_of(recipe)) == recipe


def test_examples_show_every_choice() -> None:
    space = Space.from_yaml(TWO_ROUNDS)
    found = {
        (recipe.merges[0].method.name, tuple(one.model for one in recipe.last.inputs))
        for recipe in space.examples()
    }
    assert found == {
        ("linear", ("mixture", "chat")),
        ("linear", ("mixture", "polite")),
        ("linear", ("mixture",)),
        ("slerp", ("mixture", "chat")),
    }


def test_starts_mix_the_parents_of_all_rounds() -> None:
    """Each parent alone, then 3:3:2, whatever the stages' method."""
    space = Space.from_yaml(TWO_ROUNDS)
    starts = space.starts()
    shares = [space.recipe(values).shares(4) for values in starts]
    parents = ("instruct", "reason", "chat", "polite")
    rows = [tuple(one.get(name, 0.0) for name in parents) for one in shares]
    assert rows == [
        pytest.approx(row)
        for row in [
            (1, 0, 0, 0),
            (0, 1, 0, 0),
            (0, 0, 1, 0),
            (0, 0, 0, 1),
            (3 / 8, 3 / 8, 2 / 8, 0),
        ]
    ]
    slerped = space.recipe(starts[4] | {"mixture.merge_method": "slerp"}).shares(4)
    assert slerped == pytest.approx({"instruct": 3 / 8, "reason": 3 / 8, "chat": 1 / 4})


def test_the_base_can_be_searched() -> None:
    space = Space.from_yaml("""
merge_method: task_arithmetic
base_model: {search: [b, c]}
models: [{model: a}]
""")
    assert [recipe.last.base_model for recipe in space.examples()] == ["b", "c"]
    assert set(space.parents()) == {"a", "b", "c"}


def test_two_inputs_must_not_offer_the_same_model() -> None:
    document = yaml.safe_load("""
merge_method: linear
models: [{model: {search: [a, b]}}, {model: {search: [b, null]}}]
""")
    with pytest.raises(SpaceError, match="two inputs could be 'b'"):
        Space(document)


def test_the_fewest_inputs_must_still_make_a_merge() -> None:
    with pytest.raises(SpaceError, match="needs a list with at least one entry"):
        Space.from_yaml("""
merge_method: linear
models: [{model: {search: [a, null]}}, {model: {search: [b, null]}}]
""")
