"""Recipes built as Hugging Face folders."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from helpers.parents import make_config, make_weights, recipe_of, write_parent
from transformers import AutoModelForCausalLM, AutoTokenizer

from mergesearch.build import Workshop
from mergesearch.errors import BuildError
from mergesearch.parents import open_parents
from mergesearch.recipe import Recipe


def test_safetensors_folder_loads(family: dict[str, str], tmp_path: Path) -> None:
    """The folder holds the merge in bfloat16 and the tokenizer; a frankenmerge has its layers."""
    slices = [
        {"sources": [{"model": family["a"], "layer_range": span}]} for span in ([0, 2], [1, 2])
    ]
    recipe = Recipe.from_dict({"merge_method": "linear", "slices": slices})
    Workshop.for_recipe(recipe).safetensors(recipe, tmp_path / "m")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "m")
    parent = AutoModelForCausalLM.from_pretrained(family["a"])
    assert model.config.num_hidden_layers == 3
    assert model.dtype == torch.bfloat16
    expected = parent.model.layers[1].mlp.down_proj.weight
    for layer in (1, 2):
        assert torch.equal(model.model.layers[layer].mlp.down_proj.weight, expected)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "m")
    assert tokenizer.apply_chat_template([{"role": "user", "content": "x"}], tokenize=False)


def test_safetensors_are_sharded(
    family: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights above the limit are cut into shards that are read back to the same merge."""
    recipe = recipe_of(family, dtype="float32")
    parents = open_parents(recipe.parents())
    monkeypatch.setattr("mergesearch.build.folder.SHARD_BYTES", 1_000_000)
    Workshop(parents).safetensors(recipe, tmp_path / "m")
    assert len(list((tmp_path / "m").glob("model-*-of-*.safetensors"))) > 2
    again = Recipe.from_dict({"merge_method": "linear", "models": [{"model": str(tmp_path / "m")}]})
    rebuilt = Workshop.for_recipe(again).gguf(again, tmp_path / "again.gguf")
    assert rebuilt == Workshop(parents).gguf(recipe, tmp_path / "once.gguf")


def test_overflow_in_float16_output_is_refused(tmp_path: Path) -> None:
    config = make_config()
    weights = make_weights(config, 0)
    weights["model.norm.weight"][3] = 1e6
    folder = write_parent(tmp_path / "a", config, weights)
    recipe = Recipe.from_dict(
        {"merge_method": "linear", "models": [{"model": str(folder)}], "dtype": "float16"}
    )
    with pytest.raises(BuildError, match=r"model\.norm\.weight"):
        Workshop.for_recipe(recipe).safetensors(recipe, tmp_path / "m")
