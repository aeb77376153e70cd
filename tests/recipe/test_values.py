"""A parameter's value: read from a document, looked up for a tensor, written back."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from helpers.recipes import TIES, recipe_of
from hypothesis import given
from hypothesis import strategies as st

from mergesearch.recipe import Filtered, Recipe
from mergesearch.recipe.values import evaluate


@pytest.mark.parametrize(
    ("tensor", "t", "expected"),
    [
        ("model.layers.0.self_attn.q_proj.weight", 0.0, 0.0),
        ("model.layers.5.self_attn.q_proj.weight", 0.75, 0.75),
        ("model.layers.5.mlp.up_proj.weight", 0.75, 0.5),
        ("model.embed_tokens.weight", 0.0, 0.25),
    ],
)
def test_a_filter_list_takes_its_first_match(tensor: str, t: float, expected: float) -> None:
    recipe = Recipe.from_yaml(TIES)
    settings = recipe.last.settings(
        recipe.last.slices[0], [(recipe.last.inputs[1], tensor)], tensor, t
    )
    assert settings["weight"] == (expected,)


@given(
    st.lists(st.floats(-2, 2), min_size=1, max_size=5).map(tuple),
    st.floats(0, 1, allow_nan=False),
)
def test_a_gradient_is_piecewise_linear(points: tuple[float, ...], t: float) -> None:
    import numpy as np

    expected = np.interp(t, np.linspace(0, 1, len(points)) if len(points) > 1 else [0], points)
    assert evaluate(points, "x", t) == pytest.approx(expected, abs=1e-9)


def test_no_matching_filter_falls_through() -> None:
    assert evaluate((Filtered("mlp", 1.0),), "self_attn", 0.0) is None


def test_single_filters_numbers_as_text_and_lists_of_switches() -> None:
    recipe = Recipe.from_yaml("""
merge_method: linear
models:
  - {model: a, parameters: {weight: {filter: mlp, value: 1e-1}}}
  - {model: b, parameters: {weight: {value: [0, 1e-1]}}}
parameters: {normalize: [true, false]}
""")

    def settings(tensor: str, depth: float) -> Any:
        inputs = [(source, tensor) for source in recipe.last.inputs]
        return recipe.last.settings(recipe.last.slices[0], inputs, tensor, depth)

    assert settings("mlp", 0.5)["weight"] == pytest.approx((0.1, 0.05))
    assert settings("attn", 1.0)["weight"] == pytest.approx((1.0, 0.1))
    assert [settings("x", depth)["normalize"] for depth in (0.0, 0.99, 1.0)] == [True, True, False]


@pytest.mark.parametrize(
    ("method", "name", "value"),
    [
        ("nearswap", "t", 3),
        ("nearswap", "t", "1e-4"),
        ("ram", "epsilon", 0.9),
        ("ramplus_tl", "epsilon", "1e-5"),
        ("ramplus_tl", "r", -0.5),
        ("ramplus_tl", "alpha", 7),
        ("multislerp", "eps", "1e-8"),
        ("karcher", "tol", 0),
    ],
)
def test_numbers_in_range(method: str, name: str, value: Any) -> None:
    assert recipe_of(method, **{name: value}).last.parameters == {name: float(value)}


def test_whole_numbers_stay_whole() -> None:
    for value in (50, 50.0, "50"):
        made = recipe_of(
            "karcher", "ab", max_iter=[{"filter": "mlp", "value": value}, {"value": 3}]
        )
        assert yaml.safe_load(made.to_yaml())["parameters"]["max_iter"][0]["value"] == 50
        assert "value: 50}" in made.to_yaml()
