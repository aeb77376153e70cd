"""Recipes: mergekit's YAML in and out, parameter look-up, shares, and what is refused."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mergesearch.errors import RecipeError
from mergesearch.methods import METHODS
from mergesearch.recipe import Filtered, Quantization, Recipe
from mergesearch.recipe.values import evaluate

TIES = """
merge_method: ties
base_model: base
models:
  - model: base
  - model: a
    parameters:
      weight:
        - {filter: self_attn, value: [0.0, 1.0]}
        - {filter: mlp, value: 0.5}
        - {value: 0.25}
      density: 0.6
  - model: b
    parameters: {weight: 0.3}
parameters: {density: 0.9, normalize: false, lambda: 0.5}
out_dtype: float16
"""


def test_yaml_round_trip_gives_an_equal_recipe_and_digest() -> None:
    recipe = Recipe.from_yaml(TIES)
    again = Recipe.from_yaml(recipe.to_yaml())
    assert again == recipe
    assert again.digest() == recipe.digest()
    assert recipe.parents() == ("base", "a", "b")
    assert recipe.last.dtype == "float16"


def test_digest_does_not_tell_1_from_1_point_0() -> None:
    recipe = Recipe.from_yaml("merge_method: linear\nmodels: [{model: a, parameters: {weight: 1}}]")
    same = Recipe.from_yaml("models: [{parameters: {weight: 1.0}, model: a}]\nmerge_method: linear")
    other = Recipe.from_yaml("merge_method: linear\nmodels: [{model: a, parameters: {weight: 2}}]")
    assert recipe.digest() == same.digest() != other.digest()


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


def test_mergekit_export_asks_for_float32_arithmetic_and_real_folders() -> None:
    document = yaml.safe_load(Recipe.from_yaml(TIES).to_mergekit({"a": "/models/a"}))
    assert document["dtype"] == "float32"
    assert document["out_dtype"] == "float16"
    assert "quantize" not in document
    assert [model["model"] for model in document["models"]] == ["base", "/models/a", "b"]


def test_types_of_single_tensors_are_kept() -> None:
    quantize = {"mix": "Q5_K_M", "tensors": {"attn_v": "Q8_0", "blk.0": "Q6_K"}}
    recipe = Recipe.from_dict(yaml.safe_load(TIES) | {"quantize": quantize})
    assert recipe.quantize == Quantization("Q5_K_M", {"attn_v": "Q8_0", "blk.0": "Q6_K"})
    assert Recipe.from_yaml(recipe.to_yaml()) == recipe
    assert recipe.to_dict()["quantize"] == quantize


def test_a_linear_mergekit_export_names_no_base() -> None:
    recipe = Recipe.from_dict(
        {"merge_method": "linear", "base_model": "b", "models": [{"model": "a"}]}
    )
    assert "base_model" not in yaml.safe_load(recipe.to_mergekit())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"merge_method": "magic"}, "unknown merge_method 'magic'"),
        ({"extra": 1}, "unknown key 'extra'"),
        ({"base_model": None}, "ties needs `base_model`"),
        ({"models": []}, "needs a list"),
        ({"models": [{"model": "a"}, {"model": "a"}]}, "'a' is named twice"),
        ({"models": [{"model": "base"}]}, "at least one parent beside the base"),
        ({"models": [{"model": "a", "parameters": {"dens": 1}}]}, "takes no parameter 'dens'"),
        ({"models": [{"model": "a", "parameters": {"density": 1.2}}]}, "density 1.2 is out of"),
        ({"models": [{"model": "a", "parameters": {"weight": "x"}}]}, "'x' is not a number"),
        ({"models": [{"model": "a", "parameters": {"weight": True}}]}, "True is not a number"),
        ({"models": [{"model": "a", "parameters": {"weight": float("nan")}}]}, "not a number"),
        ({"models": [{"model": "a", "weight": 1}]}, "unknown key 'weight'"),
        ({"dtype": "int4"}, "unknown dtype 'int4'"),
        ({"quantize": "Q3_K"}, "unknown mix 'Q3_K'"),
        ({"quantize": {"mix": "Q4_K_M", "types": {}}}, "unknown key 'types'"),
        ({"quantize": {"tensors": {"attn_v": "Q9"}}}, "unknown attn_v 'Q9'"),
        ({"quantize": {"tensors": {"attn_(v": "Q6_K"}}}, "not a regular expression"),
        ({"quantize": {"mix": "F16", "tensors": {"attn_v": "Q6_K"}}}, "no effect in F16"),
        ({"quantize": {"tensors": ["Q6_K"]}}, "not a mapping"),
        ({"seed": -1}, "`seed` -1 is not a whole number"),
        ({"seed": 0.5}, "`seed` 0.5 is not a whole number"),
        ({"merge_method": "della", "parameters": {"epsilon": 0.6}}, "epsilon 0.6 is out of range"),
        ({"merge_method": "breadcrumbs", "parameters": {"gamma": -0.1}}, "gamma -0.1 is out of"),
        ({"parameters": {"gamma": 0.1}}, "ties takes no parameter 'gamma'"),
        ({"parameters": {"rescale": 1}}, "1 is not true or false"),
        ({"merge_method": "sce", "parameters": {"select_topk": 1.5}}, "select_topk 1.5 is out"),
        ({"merge_method": "sce", "models": [{"model": "base"}]}, "one parent beside the base"),
        ({"merge_method": "model_stock"}, "at least 2 parents beside the base"),
        ({"merge_method": "nuslerp"}, "exactly 2 parents beside the base, 1 is named"),
        (
            {"merge_method": "passthrough", "models": [{"model": "a"}, {"model": "b"}]},
            "exactly one parent, 2 are named",
        ),
        ({"slices": []}, "either `models` or `slices`"),
    ],
)
def test_wrong_recipes_are_refused_by_name(change: dict[str, object], message: str) -> None:
    document = {"merge_method": "ties", "base_model": "base", "models": [{"model": "a"}]} | change
    with pytest.raises(RecipeError, match=message):
        Recipe.from_dict({key: value for key, value in document.items() if value is not None})


@pytest.mark.parametrize("text", ["a: [", "- 1", "", "a: 1\n---\nb: 2"])
def test_only_one_yaml_mapping_is_a_recipe(text: str) -> None:
    with pytest.raises(RecipeError):
        Recipe.from_yaml(text)


def test_slices_need_equal_lengths_and_real_ranges() -> None:
    for first, second in (([0, 2], [0, 3]), ([2, 2], [2, 2]), ([0, "x"], [0, 2])):
        with pytest.raises(RecipeError, match="range"):
            Recipe.from_dict(
                {
                    "merge_method": "linear",
                    "slices": [
                        {
                            "sources": [
                                {"model": "a", "layer_range": first},
                                {"model": "b", "layer_range": second},
                            ]
                        }
                    ],
                }
            )


def test_a_seed_is_part_of_the_recipe_but_not_of_mergekit() -> None:
    plain = Recipe.from_yaml(TIES)
    seeded = Recipe.from_yaml(TIES + "seed: 3\n")
    assert Recipe.from_yaml(seeded.to_yaml()) == seeded
    assert seeded.digest() != plain.digest()
    assert "seed" not in plain.to_dict()
    assert "seed" not in yaml.safe_load(seeded.to_mergekit())


@pytest.mark.parametrize("method", ["median", "geometric_median"])
def test_what_mergekit_lacks_is_not_exported_to_it(method: str) -> None:
    recipe = Recipe.from_dict({"merge_method": method, "models": [{"model": "a"}, {"model": "b"}]})
    assert recipe.shares(2) == pytest.approx({"a": 0.5, "b": 0.5})
    with pytest.raises(RecipeError, match=f"mergekit has no {method}"):
        recipe.to_mergekit()
