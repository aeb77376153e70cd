"""Spaces: which dimensions a hole makes, what fills it, starts, and what is refused."""

from __future__ import annotations

import random
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mergesearch._system import resources
from mergesearch.errors import InputError, SpaceError
from mergesearch.methods import METHODS
from mergesearch.recipe import Recipe
from mergesearch.space import Space

SPACE = """
merge_method: {search: [task_arithmetic, ties]}
base_model: base
models:
  - {model: a, parameters: {weight: {search: [0, 1.5]}, density: {search: [0.2, 1]}}}
  - {model: b, parameters: {weight: {search: [0, 2], curve: 3, per: [attn]}}}
parameters: {lambda: {search: [0.5, 1]}, normalize: false}
start_from: [parents, {ratio: {a: 3, b: 1}}]
"""


def random_values(space: Space, seed: int) -> dict[str, Any]:
    numbers = random.Random(seed)
    return {
        dimension.name: numbers.choice(dimension.choices)
        if dimension.choices
        else numbers.uniform(dimension.low, dimension.high)
        for dimension in space.dimensions
    }


def test_holes_become_named_dimensions_in_order() -> None:
    space = Space.from_yaml(SPACE)
    assert [one.name for one in space.dimensions] == [
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


def test_filling_gives_mergekit_gradients_and_filters() -> None:
    space = Space.from_yaml(SPACE)
    values = dict.fromkeys((one.name for one in space.dimensions), 0.51239)
    recipe = space.recipe(values | {"merge_method": "ties", "b.weight.rest": 1.0})
    document = recipe.to_dict()
    assert document["models"][0]["parameters"] == {"weight": 0.5124, "density": 0.5124}
    assert document["models"][1]["parameters"]["weight"] == [
        {"filter": "self_attn", "value": [0.5124, 0.5124, 0.5124]},
        {"value": 1.0},
    ]


def test_narrow_ranges_have_more_decimals() -> None:
    space = Space.from_yaml("""
merge_method: nearswap
base_model: b
models: [{model: a}]
parameters: {t: {search: [0.00001, 0.001]}}
""")
    recipe = space.recipe({"t": 0.000123456789})
    assert recipe.last.parameters["t"] == 0.0001235
    assert space.parameters_of(recipe) == {"t": 0.0001235}


def test_parameters_of_another_method_are_left_out() -> None:
    space = Space.from_yaml(SPACE)
    values = {one.name: one.high for one in space.dimensions}
    recipe = space.recipe(values | {"merge_method": "task_arithmetic"})
    assert recipe.last.inputs[0].parameters == {"weight": 1.5}


@given(st.integers(0, 10_000))
def test_parameters_of_inverts_recipe(seed: int) -> None:
    space = Space.from_yaml(SPACE)
    recipe = space.recipe(random_values(space, seed))
    assert space.recipe(space.parameters_of(recipe)) == recipe


def test_starts_are_the_parents_alone_and_named_ratios() -> None:
    space = Space.from_yaml(SPACE)
    shares = [space.recipe(one).shares(4) for one in space.starts()]
    assert shares[0] == pytest.approx({"base": 0.0, "a": 1.0, "b": 0.0})
    assert shares[1] == pytest.approx({"base": 0.0, "a": 0.0, "b": 1.0})
    assert shares[2] == pytest.approx({"base": 0.0, "a": 0.75, "b": 0.25})


def test_a_slerp_starts_from_its_ends() -> None:
    space = Space.from_yaml("""
merge_method: slerp
base_model: a
models: [{model: a}, {model: b}]
parameters: {t: {search: [0, 1]}}
start_from: [parents, {ratio: {a: 3, b: 1}}]
""")
    assert space.starts() == [{"t": 0.0}, {"t": 1.0}, {"t": 0.25}]


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


def test_a_foreign_recipe_is_not_in_the_space() -> None:
    space = Space.from_yaml(SPACE)
    recipe = space.recipe(space.starts()[0])
    foreign = Recipe.from_dict(recipe.to_dict() | {"base_model": "c"})
    with pytest.raises(SpaceError, match="differs from the space"):
        space.parameters_of(foreign)
    outside = recipe.to_dict()
    outside["models"][0]["parameters"]["weight"] = 1.7
    with pytest.raises(SpaceError, match=r"1\.7 is not in the space"):
        space.parameters_of(Recipe.from_dict(outside))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("merge_method", {"search": ["linear", "magic"]}, "unknown merge_method 'magic'"),
        ("merge_method", {"search": ["ties"]}, "is not a search"),
        ("dtype", {"search": ["float32", "float16"]}, "cannot be searched"),
        ("base_model", {"search": [0, 1]}, "not a list of choices"),
        ("base_model", {"search": ["x", None]}, "not a list of choices"),
        ("start_from", "parents", "is not a start"),
        ("start_from", [{"ratio": {"c": 1}}], "is not a start"),
        ("start_from", [{"ratio": {"a": -1}}], "is not a start"),
        ("parameters", {"lambda": {"search": [1, 1]}}, "is empty"),
        ("parameters", {"lambda": {"search": [0, 1], "step": 1}}, "unknown key 'step'"),
        ("parameters", {"lambda": {"search": [0, 1], "per": ["head"]}}, "not a list of groups"),
        ("parameters", {"lambda": {"search": [0, 1], "curve": 0}}, "not a number of points"),
        ("parameters", {"speed": {"search": [0, 1]}}, "unknown parameter 'speed'"),
        ("parameters", {"density": {"search": [0, 2]}}, "out of range"),
        ("typo", 1, "unknown key 'typo'"),
    ],
)
def test_wrong_spaces_are_refused_by_name(key: str, value: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Space(yaml.safe_load(SPACE) | {key: value})


def test_a_recipe_is_not_a_space() -> None:
    with pytest.raises(SpaceError, match="nothing to search"):
        Space.from_yaml("merge_method: linear\nmodels: [{model: a, parameters: {weight: 1}}]")


def test_starts_outside_the_ranges_are_refused() -> None:
    document = yaml.safe_load(SPACE)
    document["models"][0]["parameters"]["weight"] = {"search": [0.2, 0.6]}
    with pytest.raises(SpaceError, match=r"start_from needs a.weight"):
        Space(document)


def test_the_built_in_demo_space_has_about_ten_dimensions_with_curves() -> None:
    space = Space.from_yaml(resources.space_file("demo").read_text(encoding="utf-8"))
    names = [one.name for one in space.dimensions]
    assert len(names) == 11
    assert "demo:instruct.weight.attn[1]" in names
    assert len(space.starts()) == 5


WEIGHTED = [name for name, method in METHODS.items() if "weight" in method.per_parent]


@pytest.mark.parametrize("method", WEIGHTED)
def test_starts_fill_every_method_with_weights(method: str) -> None:
    """Each parent alone has share 1; a ratio has the shares it names."""
    holes = {"weight": [0, 1.5], "density": [0.7, 1], "epsilon": [0.01, 0.2], "gamma": [0, 0.1]}
    own = {
        name: {"search": span} for name, span in holes.items() if name in METHODS[method].per_parent
    }
    space = Space(
        {
            "merge_method": method,
            "base_model": "base",
            "models": [{"model": one, "parameters": dict(own)} for one in "ab"],
            "start_from": ["parents", {"ratio": {"a": 3, "b": 1}}],
        }
    )
    recipes = [space.recipe(values) for values in space.starts()]
    shares = [(one.shares(2)["a"], one.shares(2)["b"]) for one in recipes]
    assert [pytest.approx(pair) for pair in shares] == [(1, 0), (0, 1), (0.75, 0.25)]
    densities = {
        one.parameters.get("density", 1.0) for recipe in recipes for one in recipe.last.inputs
    }
    assert densities == {1.0}


def test_without_start_from_the_parents_inside_the_ranges_come_first() -> None:
    document = yaml.safe_load(SPACE)
    del document["start_from"]
    assert len(Space(document).starts()) == 2
    document["models"][0]["parameters"]["weight"] = {"search": [0.2, 0.6]}
    assert Space(document).starts() == []
    assert Space(document | {"start_from": []}).starts() == []


def test_messages_name_what_a_space_may_hold() -> None:
    document = yaml.safe_load(SPACE)
    with pytest.raises(SpaceError, match="start_from"):
        Space(document | {"start_form": []})
    document["models"][0]["parameters"]["weight"] = {"serach": [0, 1]}
    with pytest.raises(SpaceError, match=r"\{search: \[low, high\]\}"):
        Space(document)
    with pytest.raises(InputError, match="this is a search space"):
        Recipe.from_yaml(SPACE)


def test_anchors_of_yaml_do_not_tie_parents_together() -> None:
    space = Space.from_yaml("""
merge_method: linear
models:
  - {model: a, parameters: &own {weight: {search: [0, 1]}}}
  - {model: b, parameters: *own}
""")
    recipe = space.recipe({"a.weight": 0.2, "b.weight": 0.7})
    assert [one.parameters["weight"] for one in recipe.last.inputs] == [0.2, 0.7]
