"""Whole recipes of several documents against `mergekit-multi`, and published shapes of recipes.

mergekit stores every stage; in float32 that changes nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from helpers.mergekit_runs import largest_difference, run_mergekit, run_mergekit_multi
from helpers.parents import make_family

from mergesearch.recipe import Recipe

pytestmark = pytest.mark.mergekit

TWO_ROUNDS = """
name: one
merge_method: della
base_model: base
models: [{model: a, parameters: {density: 1, weight: 1, lambda: 0.9}}]
parameters: {density: 1, weight: 1, lambda: 0.9, normalize: true, int8_mask: true}
---
name: two
merge_method: della
base_model: base
models: [{model: b, parameters: {density: 1, weight: 1}}]
parameters: {lambda: 0.9, normalize: true, int8_mask: true}
---
name: mixture
merge_method: model_stock
base_model: base
models: [{model: one}, {model: two}, {model: c}]
int8_mask: true
normalize: true
---
merge_method: sce
base_model: base
models: [{model: mixture}, {model: a}]
parameters: {select_topk: 0.75}
"""
FRANKENSTEIN = """
name: tall
merge_method: passthrough
slices:
  - sources: [{model: a, layer_range: [0, 3]}]
  - sources: [{model: b, layer_range: [1, 4]}]
---
merge_method: slerp
base_model: tall
slices:
  - sources: [{model: tall, layer_range: [0, 4]}, {model: c, layer_range: [0, 4]}]
    parameters: {t: [0.1, 0.8]}
  - sources: [{model: tall, layer_range: [4, 6]}, {model: c, layer_range: [2, 4]}]
parameters: {t: 0.4}
"""
MODULE = """
merge_method: ties
base_model: base
modules:
  default:
    models:
      - {model: a, parameters: {weight: [{filter: mlp, value: 0.4}]}}
      - {model: b}
    parameters: {weight: [{filter: self_attn, value: [0.2, 1.0]}]}
parameters: {weight: 0.7, density: 0.6}
"""
BASES = """
merge_method: task_arithmetic
base_model: base
slices:
  - base_model: c
    sources: [{model: c, layer_range: [0, 2]}, {model: a, layer_range: [0, 2]}]
  - sources: [{model: base, layer_range: [2, 4]}, {model: b, layer_range: [2, 4]}]
parameters: {weight: 0.6}
"""


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return make_family(
        tmp_path_factory.mktemp("family"),
        ("base", "a", "b", "c"),
        arch="llama",
        num_hidden_layers=4,
        dtype=torch.float32,
    )


@pytest.mark.parametrize("text", [TWO_ROUNDS, FRANKENSTEIN], ids=["two rounds", "frankenstein"])
def test_documents_equal_mergekit_multi(text: str, family: Any, tmp_path: Path) -> None:
    """The documents as they stand and as they are exported give the weights of our plan."""
    recipe = Recipe.from_yaml(text).renamed(family)
    written = [
        yaml.safe_load(yaml.safe_dump(document | {"dtype": "float32"}))
        for document in yaml.safe_load_all(_with_folders(text, family))
    ]
    for name, source in (
        ("written", yaml.safe_dump_all(written)),
        ("exported", recipe.to_mergekit().replace("out_dtype: bfloat16", "out_dtype: float32")),
    ):
        expected = run_mergekit_multi(source, tmp_path / name)
        assert largest_difference(recipe, expected) < 1e-6


@pytest.mark.parametrize("text", [MODULE, BASES], ids=["module", "bases of slices"])
def test_old_and_rare_keys_equal_mergekit(text: str, family: Any, tmp_path: Path) -> None:
    document = yaml.safe_load(_with_folders(text, family))
    expected = run_mergekit(document, tmp_path / "m")
    assert largest_difference(Recipe.from_yaml(text).renamed(family), expected) < 1e-6


def _with_folders(text: str, family: dict[str, str]) -> str:
    """The YAML with folders in place of the parents' names."""

    def replaced(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: replaced(value) for key, value in node.items()}
        if isinstance(node, list):
            return [replaced(child) for child in node]
        return family.get(node, node) if isinstance(node, str) else node

    return yaml.safe_dump_all([replaced(document) for document in yaml.safe_load_all(text)])
