"""What part of a model each parent makes up."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from helpers.recipes import ROUNDS, TIES, recipe_of

from mergesearch.methods import METHODS
from mergesearch.recipe import Recipe
from mergesearch.recipe.shares import short_names


def test_shares_are_mean_coefficients_and_sum_to_one() -> None:
    recipe = Recipe.from_yaml(TIES)
    shares = recipe.shares(5)
    # attention: mean of the gradient 0.5, MLP 0.5; times lambda 0.5; b: 0.3 x 0.5
    assert shares == pytest.approx({"base": 0.6, "a": 0.25, "b": 0.15})
    linear = Recipe.from_yaml(
        "merge_method: linear\nmodels: [{model: a, parameters: {weight: 3}},"
        " {model: b, parameters: {weight: 1}}]"
    )
    assert linear.shares(4) == pytest.approx({"a": 0.75, "b": 0.25})
    slerp = Recipe.from_yaml(
        "merge_method: slerp\nbase_model: b\nmodels: [{model: a}, {model: b}]\nparameters: {t: 0.2}"
    )
    assert slerp.shares(4) == pytest.approx({"b": 0.8, "a": 0.2})


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ("merge_method: sce\nbase_model: c", {"a": 0.5, "b": 0.5, "c": 0.0}),
        ("merge_method: model_stock\nbase_model: c", {"a": 0.5, "b": 0.5, "c": 0.0}),
        ("merge_method: median", {"a": 0.5, "b": 0.5}),
        ("merge_method: nuslerp", {"a": 0.75, "b": 0.25}),
        ("merge_method: nuslerp\nbase_model: c", {"a": 0.75, "b": 0.25, "c": 0.0}),
        ("merge_method: della\nbase_model: c", {"a": 0.75, "b": 0.25, "c": 0.0}),
        ("merge_method: dare_ties\nbase_model: c", {"a": 0.6, "b": 0.2, "c": 0.2}),
    ],
)
def test_shares_of_each_method(document: str, expected: dict[str, float]) -> None:
    """Weights where a method has them, else equal parts beside the base."""
    weighted = METHODS[yaml.safe_load(document)["merge_method"]].per_parent
    models = [
        {"model": model, "parameters": {"weight": weight} if weighted else {}}
        for model, weight in (("a", 0.6), ("b", 0.2))
    ]
    recipe = Recipe.from_dict(yaml.safe_load(document) | {"models": models})
    assert recipe.shares(2) == pytest.approx(expected)


def test_shares_of_a_passthrough_follow_its_layers() -> None:
    slices = [
        {"sources": [{"model": model, "layer_range": [0, layers]}]}
        for model, layers in (("a", 3), ("b", 1))
    ]
    recipe = Recipe.from_dict({"merge_method": "passthrough", "slices": slices})
    assert recipe.shares(4) == pytest.approx({"a": 0.75, "b": 0.25})


def test_shares_of_stages_are_divided_among_their_parents() -> None:
    """3/4 of half and half, 1/4 of base + 0.9 x instruct."""
    assert Recipe.from_yaml(ROUNDS).shares(4) == pytest.approx(
        {"instruct": 0.375 + 0.225, "reason": 0.375, "base": 0.025}
    )


def test_shares_follow_gradients_through_slices_of_stages() -> None:
    """Layer 2 of the last merge is layer 3 of the stage, where the gradient has reached 1."""
    stage = {
        "name": "bent",
        "merge_method": "slerp",
        "base_model": "a",
        "models": [{"model": "a"}, {"model": "b"}],
        "parameters": {"t": [0, 1]},
    }
    slices = [
        {"sources": [{"model": "c", "layer_range": [0, 2]}]},
        {"sources": [{"model": "bent", "layer_range": [3, 4]}]},
    ]
    recipe = Recipe.from_dict({"merge_method": "passthrough", "slices": slices, "stages": [stage]})
    assert recipe.shares(4) == pytest.approx({"a": 0.0, "b": 1 / 3, "c": 2 / 3})


def test_a_stage_may_have_more_layers_than_the_parents() -> None:
    """Six layers of `tall`, three of them b's, and all of them are in the mean."""
    sources = [{"model": "a", "layer_range": [0, 3]}, {"model": "b", "layer_range": [1, 4]}]
    tall = {
        "name": "tall",
        "merge_method": "passthrough",
        "slices": [{"sources": [source]} for source in sources],
    }
    models = [{"model": "tall", "parameters": {"weight": 1.0}}]
    recipe = Recipe.from_dict({"merge_method": "linear", "models": models, "stages": [tall]})
    assert recipe.shares(4) == pytest.approx({"a": 0.5, "b": 0.5})


def test_filters_see_the_whole_names_of_tensors() -> None:
    """Half of the result is attention, the other half is MLP."""
    weight = [
        {"filter": "self_attn.q_proj.weight", "value": 0.4},
        {"filter": "mlp.down_proj.weight", "value": 0.8},
        {"value": 0.0},
    ]
    recipe = recipe_of("task_arithmetic", "a", "base", weight=weight)
    assert recipe.shares(2) == pytest.approx({"a": 0.6, "base": 0.4})


@pytest.mark.parametrize(
    ("method", "base", "parameters", "expected"),
    [
        ("karcher", None, {}, {"a": 1.0}),
        ("karcher", "base", {}, {"a": 0.5, "base": 0.5}),
        ("karcher", "a", {}, {"a": 1.0}),
        ("ram", "base", {}, {"a": 1.0, "base": 0.0}),
        ("ramplus_tl", "base", {}, {"a": 1.0, "base": 0.0}),
        ("nearswap", "base", {"t": 0.1}, {"a": 0.5, "base": 0.5}),
        ("arcee_fusion", "base", {}, {"a": 0.5, "base": 0.5}),
        ("slerp", "base", {"t": 0.3}, {"a": 0.3, "base": 0.7}),
        ("multislerp", None, {"weight": 0.4}, {"a": 1.0}),
        ("multislerp", "base", {"weight": 0.4}, {"a": 1.0, "base": 0.0}),
        (
            "multislerp",
            "base",
            {"weight": 0.4, "normalize_weights": False},
            {"a": 0.4, "base": 0.6},
        ),
    ],
)
def test_shares(
    method: str, base: str | None, parameters: dict[str, Any], expected: dict[str, float]
) -> None:
    assert recipe_of(method, "a", base, **parameters).shares(3) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("parents", "expected"),
    [
        (["demo:instruct", "org/reason/", "plain"], ["instruct", "reason", "plain"]),
        (["org/a:b", "x/y/z"], ["b", "z"]),
        (["org/a", "other/a"], ["org/a", "other/a"]),
        ([], []),
    ],
)
def test_names_are_short_where_that_is_clear(parents: list[str], expected: list[str]) -> None:
    assert short_names(parents) == expected
