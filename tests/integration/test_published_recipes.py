"""Recipes in the forms in which they are published: they build, and equal mergekit's result."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
import yaml
from helpers.adapters import make_tensors, write_adapter
from helpers.mergekit_runs import largest_difference, run_mergekit_multi, stored
from helpers.parents import make_config, make_family
from helpers.published_recipes import MORE_STAGES, PUBLISHED, STAGES

from mergesearch.build import Workshop
from mergesearch.recipe import Recipe

WITHOUT_EFFECT = {
    "ties with the base's weight written too": ["density", "int8_mask", "weight"],
    "sce with parameters of ties": ["density", "lambda", "normalize", "weight"],
    "model stock with weights": ["int8_mask", "normalize", "weight"],
    "arcee fusion with a weight": ["dtype", "normalize", "weight"],
    "a task taken away": ["allow_negative_weights", "density", "rescale"],
    "model stock, filter by filter": ["int8_mask"],
    "slerp with values for norms, embedding and head": ["embed_slerp"],
    "nuslerp, weights by group": ["int8_mask", "normalize"],
    "anchors that stand for parameters": ["common"],
    "della without signs": ["random_seed"],
    "a weighted average with switches as numbers": ["int8_mask"],
}


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Parents of four layers by name, and an adapter on any of them."""
    folder = tmp_path_factory.mktemp("family")
    family = make_family(
        folder, ("base", "a", "b", "c"), arch="llama", num_hidden_layers=4, dtype=torch.float32
    )
    config = make_config("llama", num_hidden_layers=4)
    adapter = write_adapter(folder / "adapter", make_tensors(config), task_type="CAUSAL_LM")
    return {**family, "adapter": str(adapter)}


def placed(node: Any, family: dict[str, str]) -> Any:
    """A document with the folders of parents in place of their names."""
    if isinstance(node, dict):
        return {key: placed(value, family) for key, value in node.items()}
    if isinstance(node, list):
        return [placed(value, family) for value in node]
    if isinstance(node, str) and all(part in family for part in node.split("+")):
        return "+".join(family[part] for part in node.split("+"))
    return node


def merged_by_mergekit(document: dict[str, Any], folder: Path) -> dict[str, Any]:
    from mergekit.config import MergeConfiguration
    from mergekit.merge import MergeOptions, run_merge

    dtype = "float64" if document.get("dtype") == "float64" else "float32"
    options = MergeOptions(
        copy_tokenizer=False,
        write_model_card=False,
        quiet=True,
        lora_merge_cache=str(folder / "adapted"),
        lora_merge_dtype="float32",
    )
    wanted = document | {"dtype": dtype, "out_dtype": dtype}
    run_merge(MergeConfiguration.model_validate(wanted), str(folder / "out"), options)
    return stored(folder / "out")


@pytest.mark.mergekit
@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_recipe_equals_mergekit(
    name: str, family: dict[str, str], tmp_path: Path
) -> None:
    """The document as it is, within 1e-6 of each tensor's largest value in float32."""
    document = placed(yaml.safe_load(PUBLISHED[name]), family)
    expected = merged_by_mergekit(document, tmp_path)
    recipe = Recipe.from_dict(document)
    assert largest_difference(recipe, expected) < 1e-6
    assert sorted(note.split("`")[1] for note in recipe.notes()) == WITHOUT_EFFECT.get(name, [])


@pytest.mark.mergekit
@pytest.mark.parametrize("stages", [STAGES, MORE_STAGES])
def test_several_rounds_equal_mergekit(stages: str, family: dict[str, str], tmp_path: Path) -> None:
    documents = [placed(document, family) for document in yaml.safe_load_all(stages)]
    expected = run_mergekit_multi(yaml.safe_dump_all(documents), tmp_path / "multi")
    recipe = Recipe.from_yaml(yaml.safe_dump_all(documents))
    assert largest_difference(recipe, expected) < 1e-6


@pytest.mark.parametrize("name", [*PUBLISHED, "two rounds"])
def test_a_published_recipe_builds(name: str, family: dict[str, str], tmp_path: Path) -> None:
    """To a GGUF without a number that is not finite; what is read again is the same recipe."""
    text = PUBLISHED.get(name, STAGES)
    documents = [placed(document, family) for document in yaml.safe_load_all(text)]
    recipe = Recipe.from_yaml(yaml.safe_dump_all(documents))
    assert Recipe.from_yaml(recipe.to_yaml()) == recipe
    assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))).digest() == recipe.digest()
    path = tmp_path / "built.gguf"
    Workshop.for_recipe(recipe).gguf(recipe, path)
    tensors = {tensor.name: tensor.data for tensor in gguf.GGUFReader(path).tensors}
    assert np.isfinite(tensors["output_norm.weight"]).all()
    layers = {name.split(".")[1] for name in tensors if name.startswith("blk.")}
    assert len(layers) == {"layers twice, their outputs scaled": 6}.get(
        name, 7 if name == "three models interleaved" else 4
    )
