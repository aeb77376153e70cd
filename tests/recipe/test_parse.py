"""Documents that are not understood are refused by name; old keys are read."""

from __future__ import annotations

from typing import Any

import pytest
from helpers.recipes import LINEAR, recipe_of

from mergesearch.errors import RecipeError
from mergesearch.recipe import Filtered, Recipe


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"merge_method": "magic"}, "unknown merge_method 'magic'"),
        ({"modelz": []}, "unknown key 'modelz': did you mean `models`"),
        ({"parameter": {}}, "did you mean `parameters`"),
        ({"base": "b"}, "did you mean `base_model`"),
        ({"density": 0.5}, "did you mean `parameters: {density: ...}`"),
        ({"parameters": {"dtype": "float16"}}, "did you mean `dtype` at the top"),
        ({"parameters": {"normalise": True}}, "did you mean `normalize`"),
        ({"models": [{"model": "a", "lora": "l"}]}, r"did you mean `model: \{model: ..., lora"),
        ({"models": [{"model": "a", "layer_range": [0, 2]}]}, "did you mean `slices"),
        ({"experts": []}, "a file for mergekit-moe"),
        ({"genome": {}}, "a file for mergekit-evolve"),
        (
            {"models": None, "modules": {"text_decoder": {}, "vision_tower": {}}},
            "text_decoder, vision_tower: parts of a model that reads more than text",
        ),
        ({"base_model": None}, "ties needs `base_model`"),
        ({"models": []}, "needs a list"),
        ({"models": [{"model": "a"}, {"model": "a"}]}, "'a' is named twice"),
        ({"models": [{"model": "base"}]}, "at least one parent beside the base"),
        ({"models": [{"model": "a", "parameters": {"dens": 1}}]}, "takes no parameter 'dens'"),
        ({"models": [{"model": "a", "parameters": {"density": 1.2}}]}, "density 1.2 is out of"),
        ({"models": [{"model": "a", "parameters": {"weight": "x"}}]}, "'x' is not a number"),
        ({"models": [{"model": "a", "parameters": {"weight": True}}]}, "true is not a number"),
        ({"models": [{"model": "a", "parameters": {"weight": float("nan")}}]}, "not a number"),
        ({"models": [{"model": "a", "weight": 1}]}, "unknown key 'weight'"),
        ({"dtype": "int4"}, "unknown dtype 'int4'"),
        ({"quantize": "Q3_K"}, "unknown mix 'Q3_K'"),
        ({"quantize": {"mix": "Q4_K_M", "types": {}}}, "unknown key 'types'"),
        ({"quantize": {"tensors": {"attn_v": "Q9"}}}, "unknown attn_v 'Q9'"),
        ({"quantize": {"tensors": {"attn_(v": "Q6_K"}}}, "not a regular expression"),
        ({"quantize": {"mix": "F16", "tensors": {"attn_v": "Q6_K"}}}, "no effect in F16"),
        ({"quantize": {"tensors": ["Q6_K"]}}, "not a mapping"),
        ({"seed": -1}, "`seed` -1 is not a seed"),
        ({"seed": 0.5}, "`seed` 0.5 is not a seed"),
        ({"seed": 1 << 63}, "expected: a whole number below 2\\^63"),
        ({"merge_method": "della", "parameters": {"epsilon": 0.6}}, "epsilon 0.6 is out of range"),
        ({"merge_method": "breadcrumbs", "parameters": {"gamma": -0.1}}, "gamma -0.1 is out of"),
        ({"parameters": {"rescale": 2}}, "2 is not true or false"),
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


def test_a_module_is_what_it_holds() -> None:
    """Its parameters come before the global ones, filter by filter."""
    recipe = Recipe.from_dict(
        {
            "merge_method": "linear",
            "modules": {
                "default": {
                    "models": [{"model": "a"}, {"model": "b"}],
                    "parameters": {"weight": [{"filter": "mlp", "value": 2}], "normalize": False},
                }
            },
            "parameters": {"weight": 0.5, "normalize": True},
        }
    )
    assert [input_.model for input_ in recipe.last.inputs] == ["a", "b"]
    assert recipe.last.parameters["weight"] == (Filtered("mlp", 2.0), Filtered(None, 0.5))
    assert recipe.last.parameters["normalize"] is False


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"modules": {"vision": {"models": [{"model": "a"}]}}},
            "vision: parts of a model that reads more",
        ),
        ({"modules": {"default": {"models": [{"model": "a"}]}}}, "in a module and outside"),
        ({"normalize": False}, "did you mean `parameters: {normalize: ...}`"),
        (
            {"models": [{"model": "a", "parameters": {"normalize": False}}]},
            "normalize of one parent has no effect",
        ),
    ],
)
def test_old_keys_that_say_something_else(change: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        Recipe.from_dict(LINEAR | change)


def test_old_keys_without_effect_are_read() -> None:
    """As in published recipes: mergekit reads them and does nothing."""
    plain = {
        "merge_method": "model_stock",
        "base_model": "base",
        "models": [{"model": "a"}, {"model": "b"}],
    }
    old = {"int8_mask": True, "normalize": True, "parameters": {"int8_mask": True}}
    assert Recipe.from_dict(plain | old) == Recipe.from_dict(plain)


@pytest.mark.parametrize(
    ("method", "parents", "parameters", "message"),
    [
        ("nearswap", "a", {}, "nearswap has no default for `t`"),
        ("nearswap", "a", {"t": [{"filter": "mlp", "value": 1}]}, "no default for `t`"),
        ("nearswap", "a", {"t": -0.1}, "t -0.1 is out of range"),
        ("nearswap", "ab", {"t": 0.1}, "exactly one parent beside the base, 2 are named"),
        ("arcee_fusion", "ab", {}, "exactly one parent beside the base, 2 are named"),
        ("slerp", "ab", {}, "exactly one parent beside the base, 2 are named"),
        ("slerp", "a", {"t": 1.5}, "t 1.5 is out of range"),
        ("ram", "a", {"epsilon": -1}, "epsilon -1 is out of range"),
        ("ramplus_tl", "a", {"alpha": -1}, "alpha -1 is out of range"),
        ("karcher", "ab", {"max_iter": 1.5}, "max_iter 1.5 is not a whole number"),
        ("karcher", "ab", {"max_iter": [1, 9]}, "max_iter has no gradient"),
        ("karcher", "ab", {"max_iter": -1}, "max_iter -1 is out of range"),
        ("karcher", "ab", {"tol": -1}, "tol -1 is out of range"),
        ("multislerp", "ab", {"normalize_weights": 2}, "2 is not true or false"),
    ],
)
def test_wrong_parameters_are_refused(
    method: str, parents: str, parameters: dict[str, Any], message: str
) -> None:
    with pytest.raises(RecipeError, match=message):
        recipe_of(method, parents, **parameters)


def test_a_slice_may_give_what_has_no_default() -> None:
    sources = [{"model": model, "layer_range": [0, 2]} for model in ("base", "a")]
    document = {
        "merge_method": "nearswap",
        "base_model": "base",
        "slices": [{"sources": sources, "parameters": {"t": 0.1}}, {"sources": sources}],
    }
    with pytest.raises(RecipeError, match="no default for `t`"):
        Recipe.from_dict(document)
    Recipe.from_dict(document | {"parameters": {"t": 0.2}})


@pytest.mark.parametrize(
    ("method", "parents", "parameters", "keys"),
    [
        ("task_arithmetic", "a", {"density": 0.3, "rescale": True}, ("density", "rescale")),
        ("model_stock", "ab", {"weight": 0.3, "normalize": True}, ("weight", "normalize")),
        ("arcee_fusion", "a", {"weight": 1, "t": 0.5}, ("weight", "t")),
        ("sce", "ab", {"density": 0.7, "lambda": 1}, ("density", "lambda")),
        ("ties", "a", {"gamma": 0.1}, ("gamma",)),
        ("ties", "a", {"speed_of_light": [1, 2]}, ("speed_of_light",)),
    ],
)
def test_parameters_without_effect_are_left_out_with_a_note(
    method: str, parents: str, parameters: dict[str, Any], keys: tuple[str, ...]
) -> None:
    """The same recipe, so the same digest; one note for each key."""
    recipe = recipe_of(method, parents, **parameters)
    assert recipe == recipe_of(method, parents)
    for key in keys:
        (note,) = (note for note in recipe.notes() if f"`{key}`" in note)
        assert "has no effect" in note


def test_keys_without_effect_are_left_out_with_a_note() -> None:
    """Wherever they stand; a parameter at the base too, which the others are merged onto."""
    plain = Recipe.from_dict({**LINEAR, "merge_method": "ties", "base_model": "b"})
    models = [
        {"model": "b", "parameters": {"weight": 0.4}},
        {"model": "p", "trust_remote_code": True},
    ]
    stray = {"models": models, "allow_negative_weights": True, "int8_mask": 1.0, "normalize": 1}
    recipe = Recipe.from_dict({**LINEAR, "merge_method": "ties", "base_model": "b"} | stray)
    assert recipe.to_dict()["models"] == [{"model": "b"}, {"model": "p"}]
    assert recipe.to_dict() | {"models": LINEAR["models"]} == plain.to_dict()
    named = {note.split("`")[1] for note in recipe.notes()}
    assert named == {
        "weight",
        "trust_remote_code",
        "allow_negative_weights",
        "int8_mask",
        "normalize",
    }


def test_a_key_in_the_wrong_place_that_says_what_holds_is_read() -> None:
    recipe = recipe_of("ties")
    assert Recipe.from_dict(recipe.to_dict() | {"parameters": {"dtype": "bfloat16"}}) == recipe


@pytest.mark.parametrize(("number", "switch"), [(1, True), (1.0, True), (0, False), (0.0, False)])
def test_switches_may_be_numbers(number: float, switch: bool) -> None:
    """As mergekit-evolve writes them."""
    recipe = recipe_of("ties", normalize=number, int8_mask=number)
    assert recipe == recipe_of("ties", normalize=switch, int8_mask=switch)
    assert recipe.to_dict()["parameters"]["normalize"] is switch


@pytest.mark.parametrize("number", [2, 0.5, -1, "yes", None])
def test_only_0_and_1_are_switches(number: object) -> None:
    with pytest.raises(RecipeError, match="is not true or false"):
        recipe_of("ties", normalize=number)


def test_an_empty_slice_gives_embedding_or_head_alone() -> None:
    def part(model: str, first: int, last: int) -> dict[str, Any]:
        return {"sources": [{"model": model, "layer_range": [first, last]}]}

    slices = [part("a", 0, 0), part("b", 0, 2), part("c", 2, 2)]
    recipe = Recipe.from_dict({"merge_method": "passthrough", "slices": slices})
    assert [source.model for source in recipe.last.inputs] == ["a", "b", "c"]
    assert len(recipe.last.layers(2)) == 2
    assert recipe.shares(2) == {"a": 0.0, "b": 1.0, "c": 0.0}
    with pytest.raises(RecipeError, match="the layer ranges hold no layer"):
        Recipe.from_dict({"merge_method": "passthrough", "slices": [part("a", 2, 2)]})


@pytest.mark.parametrize(
    ("written", "read"),
    [("torch.float16", "float16"), ("float64", "float32"), ("bfloat16", "bfloat16")],
)
def test_types_may_have_torch_names(written: str, read: str) -> None:
    recipe = Recipe.from_dict(LINEAR | {"dtype": written})
    assert recipe.last.dtype == read
    assert bool(recipe.notes()) == (written == "float64")
