"""Several documents that feed each other, and the old keys of published recipes."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from mergesearch.errors import RecipeError
from mergesearch.recipe import Filtered, Recipe

ROUNDS = """
name: first
merge_method: slerp
base_model: instruct
models: [{model: instruct}, {model: reason}]
parameters: {t: 0.5}
---
merge_method: linear
models:
  - {model: first, parameters: {weight: 3}}
  - {model: other, parameters: {weight: 1}}
seed: 4
---
name: other
merge_method: della
base_model: base
models: [{model: instruct, parameters: {weight: 1, density: 1, lambda: 0.9}}]
parameters: {weight: 1, density: 1, lambda: 0.9, normalize: true, int8_mask: true}
dtype: bfloat16
tokenizer_source: base
"""


def test_the_document_that_none_uses_is_the_last_merge() -> None:
    recipe = Recipe.from_yaml(ROUNDS)
    assert recipe.last.method.name == "linear"
    assert recipe.stages() == ("first", "other")
    assert recipe.parents() == ("instruct", "reason", "base")
    assert recipe.last.refs == ("first", "other")


def test_stages_are_ordered_by_what_they_use() -> None:
    documents = [
        {"merge_method": "linear", "models": [{"model": "z"}]},
        {"name": "z", "merge_method": "linear", "models": [{"model": "y"}]},
        {"name": "y", "merge_method": "linear", "models": [{"model": "x"}, {"model": "p"}]},
        {"name": "x", "merge_method": "linear", "models": [{"model": "p"}]},
    ]
    recipe = Recipe.from_yaml(yaml.safe_dump_all(documents))
    assert recipe.stages() == ("x", "y", "z")
    assert recipe.parents() == ("p",)


def test_documents_survive_both_ways_out() -> None:
    recipe = Recipe.from_yaml(ROUNDS)
    assert Recipe.from_yaml(recipe.to_yaml()) == recipe
    assert Recipe.from_dict(recipe.to_dict()) == recipe
    assert Recipe.from_yaml(recipe.to_yaml()).digest() == recipe.digest()
    renamed = recipe.renamed({"instruct": "/i"})
    assert renamed.parents() == ("/i", "reason", "base")


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


def test_mergekit_gets_every_stage_in_float32() -> None:
    documents = list(yaml.safe_load_all(Recipe.from_yaml(ROUNDS).to_mergekit({"base": "/b"})))
    assert [document.get("name") for document in documents] == ["first", "other", None]
    assert [document["out_dtype"] for document in documents] == ["float32", "float32", "bfloat16"]
    assert documents[1]["base_model"] == "/b"
    assert "seed" not in documents[2]


def test_a_gguf_is_not_exported_to_mergekit() -> None:
    recipe = Recipe.from_dict(
        {"merge_method": "linear", "models": [{"model": "m.gguf+lora"}, {"model": "b"}]}
    )
    with pytest.raises(RecipeError, match=r"cannot read the GGUF m\.gguf\+lora"):
        recipe.to_mergekit()


LINEAR: dict[str, Any] = {"merge_method": "linear", "models": [{"model": "p"}]}


@pytest.mark.parametrize(
    ("documents", "message"),
    [
        ([LINEAR, LINEAR], "no document uses the results of the unnamed one, the unnamed one"),
        ([LINEAR | {"name": "x"}, LINEAR], "no document uses the results of x, the unnamed one"),
        (
            [
                {"merge_method": "linear", "models": [{"model": "x"}]},
                LINEAR | {"name": "x", "models": [{"model": "y"}]},
                LINEAR | {"name": "y", "models": [{"model": "x"}]},
            ],
            "in a circle: (x -> y -> x|y -> x -> y)",
        ),
        (
            [
                LINEAR | {"name": "x", "models": [{"model": "y"}]},
                LINEAR | {"name": "y", "models": [{"model": "x"}]},
            ],
            "in a circle",
        ),
        ([LINEAR | {"name": "x", "models": [{"model": "x"}]}], "'x' takes its own result"),
        (
            [
                {"merge_method": "linear", "models": [{"model": "x"}]},
                LINEAR | {"name": "x"},
                LINEAR | {"name": "x"},
            ],
            "two stages have the name 'x'",
        ),
        (
            [
                {"merge_method": "linear", "models": [{"model": "x"}]},
                LINEAR | {"name": "x", "quantize": "Q4_0"},
            ],
            "unknown key 'quantize'",
        ),
        ([LINEAR, 3], "not a mapping"),
    ],
)
def test_documents_that_lead_to_no_model(documents: list[Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        Recipe.from_yaml(yaml.safe_dump_all(documents))


def test_an_unused_stage_is_refused() -> None:
    with pytest.raises(RecipeError, match="no document uses the stage 'x'"):
        Recipe.from_dict(LINEAR | {"stages": [LINEAR | {"name": "x"}]})


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
        ({"modules": {"vision": {"models": [{"model": "a"}]}}}, "unknown key 'vision'"),
        ({"modules": {"default": {"models": [{"model": "a"}]}}}, "in a module and outside"),
        ({"normalize": False}, "`normalize` beside `parameters` has no effect"),
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
