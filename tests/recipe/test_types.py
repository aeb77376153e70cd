"""Merges: which base and inputs a slice has, and which value of a parameter holds."""

from __future__ import annotations

import pytest
from helpers.recipes import ROUNDS, recipe_of

from mergesearch.recipe import Recipe


def test_inputs_come_before_slices_before_globals() -> None:
    recipe = Recipe.from_yaml("""
merge_method: linear
slices:
  - sources:
      - {model: a, layer_range: [0, 2], parameters: {weight: 0.1}}
      - {model: b, layer_range: [0, 2]}
    parameters: {weight: 0.2}
  - sources: [{model: a, layer_range: [2, 4]}, {model: b, layer_range: [2, 4]}]
parameters: {weight: 0.3}
""")
    first, second = recipe.last.slices
    found = [
        recipe.last.settings(part, [(source, "x") for source in part.sources], "x", 0.0)["weight"]
        for part in (first, second)
    ]
    assert found == [(0.1, 0.2), (0.3, 0.3)]


def test_a_slice_may_have_a_base_of_its_own() -> None:
    recipe = Recipe.from_dict(
        {
            "merge_method": "task_arithmetic",
            "slices": [
                {
                    "base_model": base,
                    "sources": [
                        {"model": base, "layer_range": [0, 2]},
                        {"model": "a", "layer_range": [0, 2], "parameters": {"weight": 0.5}},
                    ],
                }
                for base in ("b", "c")
            ],
        }
    )
    assert Recipe.from_dict(recipe.to_dict()) == recipe
    assert recipe.parents() == ("b", "a", "c")
    assert recipe.shares(2) == pytest.approx({"a": 0.5, "b": 0.25, "c": 0.25})


@pytest.mark.parametrize(
    ("method", "base", "expected"),
    [
        ("ties", "base", ("base", ["a", "b"])),
        ("ties", "a", ("a", ["b"])),
        ("nuslerp", None, (None, ["a", "b"])),
        ("nuslerp", "base", ("base", ["a", "b"])),
        ("linear", "base", (None, ["a", "b"])),
        ("linear", "a", (None, ["a", "b"])),
        ("karcher", "base", (None, ["a", "b", "base"])),
        ("karcher", "a", (None, ["a", "b"])),
        ("karcher", None, (None, ["a", "b"])),
    ],
)
def test_what_a_method_does_with_the_base(
    method: str, base: str | None, expected: tuple[str | None, list[str]]
) -> None:
    merge = recipe_of(method, "ab", base).last
    found, inputs = merge.base_and_inputs(merge.slices[0])
    assert (found and found.model, [source.model for source in inputs]) == expected
    assert merge.donor == (base or "a")


def test_layers_of_slices_have_depths_of_their_own() -> None:
    """A gradient runs from 0 to 1 over each slice; one layer alone is at its end."""
    spans = {"a": [2, 5], "b": [0, 1]}
    slices = [{"sources": [{"model": name, "layer_range": spans[name]}]} for name in spans]
    merge = Recipe.from_dict({"merge_method": "passthrough", "slices": slices}).last
    layers = merge.layers(6)
    assert [(layer.offset, layer.depth) for layer in layers] == [(0, 0), (1, 0.5), (2, 1), (0, 1)]
    assert [layer.slice.sources[0].layer(layer.offset) for layer in layers] == [2, 3, 4, 0]
    whole = recipe_of("linear").last
    assert [layer.depth for layer in whole.layers(3)] == [0, 0.5, 1]
    assert whole.inputs[0].layer(2) == 2
    assert (whole.whole, merge.whole) == (True, False)


def test_stages_are_no_parents() -> None:
    recipe = Recipe.from_yaml(ROUNDS)
    assert recipe.parents() == ("instruct", "reason", "base")
    assert [merge.refs for merge in recipe.merges] == [
        ("instruct", "reason"),
        ("base", "instruct"),
        ("first", "other"),
    ]
