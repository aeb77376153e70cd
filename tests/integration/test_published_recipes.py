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

from mergesearch.build import Workshop
from mergesearch.recipe import Recipe

PUBLISHED = {
    "a weighted average with switches as numbers": """
models:
  - model: a
    parameters: {weight: 0.7}
  - model: b
    parameters: {weight: 0.5}
merge_method: linear
parameters: {normalize: 1.0, int8_mask: 1.0}
dtype: bfloat16
""",
    "a result of mergekit-evolve": """
base_model: base
dtype: bfloat16
merge_method: task_arithmetic
parameters: {int8_mask: 1.0, normalize: 0.0}
slices:
  - sources:
      - {layer_range: [0, 2], model: base}
      - layer_range: [0, 2]
        model: a
        parameters:
          weight:
            - {filter: self_attn, value: 0.37}
            - {filter: mlp, value: 0.81}
            - {value: 0.55}
  - sources:
      - {layer_range: [2, 4], model: base}
      - layer_range: [2, 4]
        model: a
        parameters: {weight: [{filter: mlp, value: -0.2}, {value: 0.4}]}
""",
    "slerp over slices with gradients by filters": """
slices:
  - sources:
      - {model: a, layer_range: [0, 4]}
      - {model: b, layer_range: [0, 4]}
merge_method: slerp
base_model: a
parameters:
  t:
    - {filter: self_attn, value: [0, 0.5, 0.3, 0.7, 1]}
    - {filter: mlp, value: [1, 0.5, 0.7, 0.3, 0]}
    - value: 0.5
dtype: bfloat16
""",
    "ties with the base among the models": """
models:
  - model: base
  - model: a
    parameters: {density: 0.53, weight: 0.4}
  - model: b
    parameters: {density: 0.53, weight: [0.1, 0.3, 0.6]}
merge_method: ties
base_model: base
parameters: {normalize: true, int8_mask: true}
dtype: float16
""",
    "ties with the base's weight written too": """
models:
  - model: base
    parameters: {density: 1.0, weight: 1.0}
  - model: a
    parameters: {density: 0.9, weight: 0.9}
merge_method: ties
base_model: base
int8_mask: true
dtype: bfloat16
""",
    "dare with everything kept": """
models:
  - {model: a, parameters: {density: 1.0, weight: 0.6}}
  - {model: b, parameters: {density: 1, weight: 0.4}}
merge_method: dare_ties
base_model: base
parameters: {int8_mask: true, normalize: 0}
dtype: bfloat16
""",
    "sce with parameters of ties": """
models:
  - {model: a, parameters: {weight: 1.0, density: 0.7}}
  - {model: b}
  - {model: c}
merge_method: sce
base_model: base
parameters: {select_topk: 0.5, normalize: true, lambda: 1.0}
dtype: bfloat16
""",
    "model stock with weights": """
models:
  - {model: a, parameters: {weight: 0.5}}
  - {model: b, parameters: {weight: 0.5}}
merge_method: model_stock
base_model: base
normalize: false
int8_mask: true
dtype: bfloat16
""",
    "layers twice, their outputs scaled": """
slices:
  - sources: [{model: a, layer_range: [0, 3]}]
  - sources:
      - model: a
        layer_range: [2, 3]
        parameters:
          scale:
            - {filter: o_proj, value: 0.0}
            - {filter: down_proj, value: 0.0}
            - value: 1.0
  - sources: [{model: b, layer_range: [2, 4]}]
merge_method: passthrough
dtype: bfloat16
""",
    "the head and norm of another parent": """
slices:
  - sources: [{model: a, layer_range: [0, 4]}]
  - sources: [{model: b, layer_range: [4, 4]}]
merge_method: passthrough
dtype: bfloat16
""",
    "arcee fusion with a weight": """
models: [{model: a, parameters: {weight: 1}}]
merge_method: arcee_fusion
base_model: base
parameters: {normalize: true}
dtype: float64
""",
    "nuslerp onto a base": """
models:
  - {model: a, parameters: {weight: 0.3}}
  - {model: b, parameters: {weight: [0.7, 0.4]}}
base_model: base
merge_method: nuslerp
parameters: {nuslerp_flatten: 0, nuslerp_row_wise: 1}
dtype: bfloat16
""",
    "karcher of three": """
models: [{model: a}, {model: b}, {model: c}]
merge_method: karcher
parameters: {max_iter: 100, tol: 1e-9}
dtype: bfloat16
""",
    "breadcrumbs without the largest changes": """
models:
  - {model: a, parameters: {weight: 0.5, density: 0.9, gamma: 0.01}}
  - {model: b, parameters: {weight: 0.5}}
merge_method: breadcrumbs_ties
base_model: base
parameters: {density: 0.8, gamma: 0.02, normalize: false}
dtype: bfloat16
""",
    "a task taken away": """
merge_method: task_arithmetic
base_model: base
models:
  - {model: a, parameters: {weight: 1.0, density: 0.5}}
  - {model: b, parameters: {weight: -0.5}}
parameters: {lambda: 0.9, rescale: true}
allow_negative_weights: true
""",
    "models as mappings": """
merge_method: linear
models:
  - model: {model: {path: a, revision: null}, lora: null}
    parameters: {weight: 0.25}
  - model: {model: {path: b}}
    parameters: {weight: 0.75}
dtype: bfloat16
""",
    "one adapter on two models": """
merge_method: task_arithmetic
base_model: base
models:
  - {model: a+adapter, parameters: {weight: 0.6}}
  - model: {model: {path: b}, lora: {path: adapter}}
    parameters: {weight: 0.4}
dtype: float32
""",
    "a union of tokens with a template by name": """
models:
  - {model: a, parameters: {weight: 1}}
  - {model: b, parameters: {weight: 2}}
merge_method: linear
tokenizer: {source: union, pad_to_multiple_of: 32}
chat_template: chatml
dtype: bfloat16
""",
    "weights by gradients and filters": """
models:
  - model: a
    parameters:
      weight:
        - {filter: q_proj, value: [0.8, 0.1]}
        - {filter: self_attn, value: 0.3}
        - {filter: "*", value: [0.2, 0.9, 0.5]}
  - {model: b, parameters: {weight: 0.5}}
merge_method: task_arithmetic
base_model: base
""",
    "near values swapped": """
models: [{model: a}]
merge_method: nearswap
base_model: base
parameters: {t: 1e-2}
dtype: bfloat16
""",
    "spherical mean of deltas": """
models:
  - {model: a, parameters: {weight: 0.5}}
  - {model: b, parameters: {weight: 0.5}}
merge_method: multislerp
base_model: base
parameters: {normalize_weights: 1}
tokenizer_source: base
""",
    "a module": """
merge_method: linear
modules:
  default:
    slices:
      - sources:
          - {model: a, layer_range: [0, 4], parameters: {weight: 0.4}}
          - {model: c, layer_range: [0, 4], parameters: {weight: 0.6}}
dtype: bfloat16
""",
}
STAGES = """
models: [{model: a, parameters: {density: 1, weight: 1, lambda: 0.9}}]
merge_method: della
base_model: base
parameters: {density: 1, weight: 1, lambda: 0.9, normalize: 1, int8_mask: 1}
dtype: float32
name: first
---
models: [{model: b, parameters: {density: 1, weight: 1, lambda: 0.9}}]
merge_method: della
base_model: base
parameters: {density: 1, weight: 1, lambda: 0.9, normalize: true, int8_mask: true}
dtype: float32
name: second
---
merge_method: model_stock
base_model: c
models: [{model: first}, {model: second}]
dtype: float32
"""
WITHOUT_EFFECT = {
    "ties with the base's weight written too": ["density", "int8_mask", "weight"],
    "sce with parameters of ties": ["density", "lambda", "normalize", "weight"],
    "model stock with weights": ["int8_mask", "normalize", "weight"],
    "arcee fusion with a weight": ["dtype", "normalize", "weight"],
    "a task taken away": ["allow_negative_weights", "density", "rescale"],
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
    """A document with the folders of parents in the place of their names."""
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
def test_two_rounds_equal_mergekit(family: dict[str, str], tmp_path: Path) -> None:
    documents = [placed(document, family) for document in yaml.safe_load_all(STAGES)]
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
    assert len(layers) == (6 if "twice" in name else 4)
