"""Documents for mergekit."""

from __future__ import annotations

import pytest
import yaml
from helpers.recipes import PAIR, ROUNDS, TIES, recipe_of

from mergesearch.errors import RecipeError
from mergesearch.recipe import Recipe


def test_mergekit_export_asks_for_float32_arithmetic_and_real_folders() -> None:
    document = yaml.safe_load(Recipe.from_yaml(TIES).to_mergekit({"a": "/models/a"}))
    assert document["dtype"] == "float32"
    assert document["out_dtype"] == "float16"
    assert "quantize" not in document
    assert [model["model"] for model in document["models"]] == ["base", "/models/a", "b"]


def test_a_linear_mergekit_export_names_no_base() -> None:
    recipe = Recipe.from_dict(
        {"merge_method": "linear", "base_model": "b", "models": [{"model": "a"}]}
    )
    assert "base_model" not in yaml.safe_load(recipe.to_mergekit())


@pytest.mark.parametrize("method", ["median", "geometric_median"])
def test_what_mergekit_lacks_is_not_exported_to_it(method: str) -> None:
    recipe = Recipe.from_dict({"merge_method": method, "models": [{"model": "a"}, {"model": "b"}]})
    assert recipe.shares(2) == pytest.approx({"a": 0.5, "b": 0.5})
    with pytest.raises(RecipeError, match=f"mergekit has no {method}"):
        recipe.to_mergekit()


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


def test_mergekit_is_told_of_a_base_that_counts() -> None:
    """Karcher's mean takes a base as one more parent, a linear merge must not."""
    made = yaml.safe_load(recipe_of("karcher", "ab").to_mergekit())
    assert made["base_model"] == "base"
    assert "base_model" not in yaml.safe_load(recipe_of("linear", "ab").to_mergekit())


def test_mergekit_is_told_what_it_has_no_default_for() -> None:
    """Below what a parent or a slice says; nothing where all tensors have a value anyway."""
    document = {
        "merge_method": "ties",
        "base_model": "base",
        "models": [{"model": "a", "parameters": {"weight": 0.3}}, {"model": "b"}],
    }
    made = yaml.safe_load(Recipe.from_dict(document).to_mergekit())
    assert made["models"] == document["models"]
    assert made["parameters"] == {"weight": 1.0}
    assert yaml.safe_load(recipe_of("slerp").to_mergekit())["parameters"] == {"t": 0.5}
    assert yaml.safe_load(recipe_of("slerp", t=0.2).to_mergekit())["parameters"] == {"t": 0.2}
    assert "parameters" not in yaml.safe_load(recipe_of("sce").to_mergekit())


def test_mergekit_gets_a_parent_where_it_would_take_any_as_base() -> None:
    """Without a base_model mergekit's `base` is whichever parent a set yields first."""
    given = PAIR | {"tokenizer_source": "base", "chat_template": "auto"}
    document = yaml.safe_load(Recipe.from_dict(given).to_mergekit({"a": "/a", "b": "/b"}))
    assert document["tokenizer_source"] == "/a"
    assert document["chat_template"] == "auto"
    based = {"merge_method": "task_arithmetic", "base_model": "b", **given, **PAIR}
    based |= {"merge_method": "task_arithmetic"}
    assert yaml.safe_load(Recipe.from_dict(based).to_mergekit())["tokenizer_source"] == "base"
