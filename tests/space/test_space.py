"""Spaces: which dimensions a hole makes, what fills it, starts, and what is refused."""

from __future__ import annotations

from helpers.spaces import SPACE

from mergesearch._system import resources
from mergesearch.space import Space


def test_filling_gives_mergekit_gradients_and_filters() -> None:
    space = Space.from_yaml(SPACE)
    values = dict.fromkeys((dimension.name for dimension in space.dimensions), 0.51239)
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


def test_parameters_of_another_method_are_left_out() -> None:
    space = Space.from_yaml(SPACE)
    values = {dimension.name: dimension.high for dimension in space.dimensions}
    recipe = space.recipe(values | {"merge_method": "task_arithmetic"})
    assert recipe.last.inputs[0].parameters == {"weight": 1.5}


def test_the_built_in_demo_space_has_about_ten_dimensions_with_curves() -> None:
    space = Space.from_yaml(resources.space_file("demo").read_text(encoding="utf-8"))
    names = [dimension.name for dimension in space.dimensions]
    assert len(names) == 11
    assert "demo:instruct.weight.attn[1]" in names
    assert len(space.starts()) == 5


def test_anchors_of_yaml_do_not_tie_parents_together() -> None:
    space = Space.from_yaml("""
merge_method: linear
models:
  - {model: a, parameters: &own {weight: {search: [0, 1]}}}
  - {model: b, parameters: *own}
""")
    recipe = space.recipe({"a.weight": 0.2, "b.weight": 0.7})
    assert [source.parameters["weight"] for source in recipe.last.inputs] == [0.2, 0.7]


def test_the_mlp_of_mixtral_is_its_experts() -> None:
    """The group and its numbers are called `moe`, in starts that name them too."""
    space = Space.from_yaml("""
merge_method: linear
models:
  - {model: a, parameters: {weight: {search: [0, 1], curve: 2, per: [attn, mlp]}}}
  - {model: b, parameters: {weight: {search: [0, 1], per: [attn, mlp, moe]}}}
start_from: [{values: {"a.weight.mlp[1]": 0.25, a.weight.rest: 0.5}}]
""")
    found = space.of_experts()
    assert found.of_experts() is found
    names = [dimension.name for dimension in found.dimensions][:5]
    assert names == [*("a.weight.attn[0]", "a.weight.attn[1]"), *_EXPERTS, "a.weight.rest"]
    recipe = found.recipe(found.starts()[0]).to_dict()
    assert recipe["models"][0]["parameters"]["weight"] == [
        {"filter": "self_attn", "value": [1.0, 1.0]},
        {"filter": "block_sparse_moe", "value": [1.0, 0.25]},
        {"value": 0.5},
    ]
    assert Space(found.to_dict()).dimensions == found.dimensions


_EXPERTS = ("a.weight.moe[0]", "a.weight.moe[1]")
