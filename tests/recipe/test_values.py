"""A parameter's value: read from a document, looked up for a tensor, written back."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from helpers.recipes import TIES, recipe_of
from hypothesis import given
from hypothesis import strategies as st

from mergesearch.errors import RecipeError
from mergesearch.methods import WEIGHT, Parameter, switch
from mergesearch.methods.declaration import LAMBDA
from mergesearch.recipe import Filtered, Recipe
from mergesearch.recipe.reading import Location
from mergesearch.recipe.values import evaluate, parse_value, with_fallback

STEPS = Parameter("steps", 5, int, low=1, high=9)


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


FILTERS = [{"filter": "mlp", "value": [0.0, 1.0]}, {"filter": "*", "value": 0.5}]


def test_filter_lists_are_written_as_they_were_read() -> None:
    for value in ([0.25, 0.75], FILTERS, [{"filter": "mlp", "value": 1.0}, {"value": 0.5}]):
        document = {"model": "a", "parameters": {"weight": value}}
        recipe = Recipe.from_dict({"merge_method": "linear", "models": [document]})
        assert recipe.to_dict()["models"] == [document]


def test_a_star_takes_every_tensor_that_is_left() -> None:
    entries = (Filtered("mlp", (0.0, 1.0)), Filtered("*", 0.5))
    assert evaluate(entries, "mlp", 0.25) == 0.25
    assert evaluate(entries, "self_attn", 0.25) == 0.5


def test_a_fallback_takes_what_no_filter_matches() -> None:
    only_mlp = (Filtered("mlp", 2.0),)
    assert with_fallback(only_mlp, 0.5) == (Filtered("mlp", 2.0), Filtered(None, 0.5))
    assert with_fallback(only_mlp, (0.0, 1.0)) == (*only_mlp, Filtered(None, (0.0, 1.0)))
    assert with_fallback(only_mlp, None) == only_mlp
    for complete in (1.0, (0.0, 1.0), (*only_mlp, Filtered("*", 1.0)), (Filtered(None, 1.0),)):
        assert with_fallback(complete, 0.5) == complete


@pytest.mark.parametrize(
    ("parameter", "value", "message"),
    [
        (WEIGHT, [], "an empty list"),
        (WEIGHT, [{"filter": "mlp"}], "needs `value`"),
        (WEIGHT, [{"value": [{"value": 1}]}], "a filter list inside a filter list"),
        (WEIGHT, [1.0, "x"], "'x' is not a number"),
        (WEIGHT, None, "null is not a number"),
        (WEIGHT, True, "true is not a number"),
        (WEIGHT, float("inf"), "inf is not a number"),
        (WEIGHT, 1e308, r"weight 1e\+308 is out of range\n  expected: -1e\+09 to 1e\+09"),
        (WEIGHT, [0.5, -1e10], "weight -10000000000.0 is out of range"),
        (LAMBDA, 1 << 40, "lambda 1099511627776 is out of range"),
        (STEPS, [1, 2], "steps has no gradient"),
        (STEPS, 1.5, "steps 1.5 is not a whole number"),
        (STEPS, 0, "steps 0 is out of range"),
        (STEPS, 10, "steps 10 is out of range"),
        (switch("fast", False), 2, "2 is not true or false"),
    ],
)
def test_values_of_another_kind_are_refused(parameter: Parameter, value: Any, message: str) -> None:
    with pytest.raises(RecipeError, match=message) as caught:
        parse_value(parameter, value, Location("f: p"))
    assert caught.value.where is not None
    assert caught.value.where.startswith("f: p")


def test_the_ends_of_a_range_are_in_it() -> None:
    location = Location("f: p")
    assert parse_value(STEPS, 1, location) == 1
    assert parse_value(STEPS, "9", location) == 9
    assert parse_value(STEPS, [9], location) == (9,)
    assert parse_value(WEIGHT, {"filter": "mlp", "value": 1}, location) == (Filtered("mlp", 1.0),)
    assert parse_value(switch("fast", False), [True, False], location) == (True, False)


def test_a_hole_where_a_number_belongs_is_told_of_spaces() -> None:
    for value, more in (({"serach": [0, 1]}, True), ("x", False)):
        with pytest.raises(RecipeError) as caught:
            parse_value(WEIGHT, value, Location("f"))
        assert ("{search: [low, high]}" in str(caught.value.expected)) == more
