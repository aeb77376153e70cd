"""Spaces in which the parents, the base and the merges before the last are searched."""

from __future__ import annotations

from helpers.spaces import TWO_ROUNDS, random_values

from mergesearch.space import Space


def test_an_absent_model_leaves_its_input_out() -> None:
    space = Space.from_yaml(TWO_ROUNDS)
    values = random_values(space, 1)
    chosen = space.recipe(values | {"models[1].model": "polite"})
    assert [source.model for source in chosen.last.inputs] == ["mixture", "polite"]
    alone = space.recipe(values | {"models[1].model": None})
    assert [source.model for source in alone.last.inputs] == ["mixture"]


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


def test_what_takes_no_part_in_a_recipe_is_named() -> None:
    space = Space.from_yaml("""
merge_method: {search: [linear, ties]}
base_model: base
models:
  - {model: a, parameters: {weight: {search: [0, 1]}, density: {search: [0, 1], per: [attn]}}}
  - {model: {search: [mix, null]}, parameters: {weight: {search: [0, 1]}}}
stages:
  - name: mix
    merge_method: linear
    models: [{model: b, parameters: {weight: {search: [0, 1]}}}, {model: c}]
""")
    every = {dimension.name for dimension in space.dimensions}
    values = dict.fromkeys(every, 0.5) | {"merge_method": "ties", "models[1].model": "mix"}
    density = {name for name in every if name.startswith("a.density")}
    assert len(density) == 2
    assert space.unused(values) == set()
    assert space.unused(values | {"merge_method": "linear"}) == density
    alone = space.unused(values | {"models[1].model": None})
    assert alone == every - density - {"merge_method", "models[1].model", "a.weight"}
    assert len(alone) == 2


def test_slices_that_are_not_chosen_take_no_part() -> None:
    space = Space.from_yaml("""
merge_method: passthrough
slices:
  search: [[0, 1], [0]]
  of:
    - {sources: [{model: a, layer_range: [0, 2], parameters: {scale: {search: [0, 1]}}}]}
    - {sources: [{model: b, layer_range: [0, 2], parameters: {scale: {search: [0, 1]}}}]}
""")
    order, first, second = (dimension.name for dimension in space.dimensions)
    both, one = next(d for d in space.dimensions if d.name == order).choices
    assert space.unused({order: both, first: 0.5, second: 0.5}) == set()
    assert space.unused({order: one, first: 0.5, second: 0.5}) == {second}


def test_examples_show_every_choice() -> None:
    space = Space.from_yaml(TWO_ROUNDS)
    found = {
        (recipe.merges[0].method.name, tuple(source.model for source in recipe.last.inputs))
        for recipe in space.examples()
    }
    assert found == {
        ("linear", ("mixture", "chat")),
        ("linear", ("mixture", "polite")),
        ("linear", ("mixture",)),
        ("slerp", ("mixture", "chat")),
    }


def test_the_base_can_be_searched() -> None:
    space = Space.from_yaml("""
merge_method: task_arithmetic
base_model: {search: [b, c]}
models: [{model: a}]
""")
    assert [recipe.last.base_model for recipe in space.examples()] == ["b", "c"]
    assert set(space.parents()) == {"a", "b", "c"}
