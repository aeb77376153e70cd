"""Layer ranges, orders of slices and tied numbers are searched like any other value."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from mergesearch.errors import SpaceError
from mergesearch.space import Space

STACK = """
merge_method: passthrough
slices:
  - sources: [{model: a, layer_range: {search: [[0, 20], [0, 24]]}}]
  - sources: [{model: b, layer_range: {search: [[8, 32], [16, 32], [12, 32]]}}]
"""
ORDER = """
merge_method: passthrough
slices:
  search: order
  of:
    - sources: [{model: a, layer_range: [0, 4], parameters: {scale: {search: [0.5, 1.5]}}}]
    - sources: [{model: b, layer_range: [2, 6]}]
    - sources: [{model: c, layer_range: [4, 8]}]
"""


def spans(space: Space, values: dict[str, Any]) -> list[tuple[str, tuple[int, int] | None]]:
    return [(source.model, source.layer_range) for source in space.recipe(values).last.inputs]


def test_a_layer_range_is_one_of_several() -> None:
    space = Space.from_yaml(STACK)
    first, second = space.dimensions
    assert (first.name, first.choices) == ("slice0.a.layer_range", ("0-20", "0-24"))
    assert second.choices == ("8-32", "16-32", "12-32")
    values = {first.name: "0-24", second.name: "12-32"}
    assert spans(space, values) == [("a", (0, 24)), ("b", (12, 32))]


def test_the_examples_hold_the_longest_model() -> None:
    layers = [len(recipe.last.layers(32)) for recipe in Space.from_yaml(STACK).examples()]
    assert max(layers) == 24 + 24


def test_the_layers_that_are_written_first_and_the_most_are_tried_first() -> None:
    space = Space.from_yaml(STACK)
    assert [spans(space, start) for start in space.starts()] == [
        [("a", (0, 20)), ("b", (8, 32))],
        [("a", (0, 24)), ("b", (8, 32))],
    ]
    assert "a alone" in space.left_out()


def test_ranges_of_one_slice_go_together() -> None:
    hole = {"search": [[0, 4], [0, 6]]}
    sources = [{"model": model, "layer_range": dict(hole)} for model in ("a", "b")]
    document: dict[str, Any] = {"merge_method": "linear", "slices": [{"sources": sources}]}
    with pytest.raises(SpaceError, match="layer ranges have different lengths"):
        Space(document)
    for source in sources:
        source["layer_range"] |= {"as": "layers"}  # type: ignore[operator]
    space = Space(document)
    assert [dimension.name for dimension in space.dimensions] == ["layers"]
    assert spans(space, {"layers": "0-6"}) == [("a", (0, 6)), ("b", (0, 6))]


def test_every_order_of_slices_is_a_choice() -> None:
    space = Space.from_yaml(ORDER)
    order, scale = space.dimensions
    assert order.name == "slices"
    assert order.choices == ("0,1,2", "0,2,1", "1,0,2", "1,2,0", "2,0,1", "2,1,0")
    assert scale.name == "slice0.a.scale"
    recipe = space.recipe({"slices": "2,0,1", scale.name: 0.75})
    assert [source.model for source in recipe.last.inputs] == ["c", "a", "b"]
    assert recipe.last.inputs[1].parameters == {"scale": 0.75}
    assert space.starts()[0]["slices"] == "0,1,2"


def test_orders_may_be_named_with_slices_twice_or_left_out() -> None:
    document = yaml.safe_load(ORDER)
    document["slices"]["search"] = [[0, 1, 2], [0, 1, 1, 2], [1]]
    space = Space(document)
    assert space.dimensions[0].choices == ("0,1,2", "0,1,1,2", "1")
    twice = spans(space, {"slices": "0,1,1,2", "slice0.a.scale": 1.0})
    assert [model for model, _ in twice] == ["a", "b", "b", "c"]
    assert max(len(recipe.last.layers(8)) for recipe in space.examples()) == 16


@pytest.mark.parametrize(
    ("search", "message"),
    [
        ([[0, 20]], "is not a search"),
        ([[0, 20], [0, 20]], "is not a search"),
        ([[0, 20], [0]], "is not a search"),
        ([0, 20], "is not a search"),
        ([[0, 20], [9, 4]], "is not a range"),
    ],
)
def test_what_is_no_choice_of_layer_ranges(search: Any, message: str) -> None:
    document = yaml.safe_load(STACK)
    document["slices"][0]["sources"][0]["layer_range"] = {"search": search}
    with pytest.raises(SpaceError, match=message):
        Space(document)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"search": [[0, 1, 3], [0, 1]]}, "is not a search"),
        ({"search": "any"}, "is not a search"),
        ({"of": []}, "`of` is not a list of slices"),
        ({"of": [{}] * 6}, "6 slices have too many orders"),
        ({"curve": 2}, "a choice has no curve"),
    ],
)
def test_what_is_no_order_of_slices(change: dict[str, Any], message: str) -> None:
    document = yaml.safe_load(ORDER)
    document["slices"] |= change
    with pytest.raises(SpaceError, match=message):
        Space(document)


def test_one_number_may_multiply_several_values() -> None:
    document = yaml.safe_load("""
merge_method: ties
base_model: base
models:
  - model: a
    parameters: {weight: {search: [0, 2], times: [0.2, 0.8], as: all}}
  - model: b
    parameters:
      weight: {search: [0, 2], times: [{filter: mlp, value: 0.4}, {value: 1.0}], as: all}
""")
    space = Space(document)
    assert [dimension.name for dimension in space.dimensions] == ["all"]
    recipe = space.recipe({"all": 0.5})
    models = recipe.to_dict()["models"]
    assert models[0]["parameters"]["weight"] == [0.1, 0.4]
    assert models[1]["parameters"]["weight"] == [{"filter": "mlp", "value": 0.2}, {"value": 0.5}]


@pytest.mark.parametrize(
    ("hole", "message"),
    [
        (
            {"search": [0, 1], "as": "x"},
            "models.1.parameters.weight: another hole 'x' searches other values",
        ),
        ({"search": [0, 2], "times": "half"}, "is not a number"),
        ({"search": [0, 2], "times": 1.0, "curve": 3}, "`times` has the curve"),
        ({"search": [1, 2, 3], "times": 1.0}, "a choice has no curve, no groups and no `times`"),
        ({"search": [0, 2], "as": 3}, "`as` 3 is not a name"),
        (
            [{"filter": "q_proj", "value": {"search": [0, 2], "per": ["mlp"]}}, {"value": 1}],
            "the value of a filter has no groups",
        ),
    ],
)
def test_ties_that_are_refused(hole: Any, message: str) -> None:
    models = [
        {"model": "a", "parameters": {"weight": {"search": [0, 2], "as": "x"}}},
        {"model": "b", "parameters": {"weight": hole}},
    ]
    with pytest.raises(SpaceError, match=message):
        Space({"merge_method": "linear", "models": models})


def test_numbers_of_a_filter_list_are_searched_by_themselves() -> None:
    space = Space(
        yaml.safe_load("""
merge_method: linear
models:
  - model: a
    parameters:
      weight:
        - {filter: q_proj, value: {search: [0, 1], curve: 2}}
        - {filter: o_proj, value: 0.5}
        - {value: {search: [0, 2]}}
""")
    )
    names = [dimension.name for dimension in space.dimensions]
    assert names == ["a.weight.q_proj[0]", "a.weight.q_proj[1]", "a.weight.rest"]
    recipe = space.recipe(dict(zip(names, (0.1, 0.2, 1.5), strict=True)))
    assert recipe.to_dict()["models"][0]["parameters"]["weight"] == [
        {"filter": "q_proj", "value": [0.1, 0.2]},
        {"filter": "o_proj", "value": 0.5},
        {"value": 1.5},
    ]
