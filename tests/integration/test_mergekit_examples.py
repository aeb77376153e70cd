"""Kinds of recipes that mergekit's documentation shows, run by both tools on the same parents."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from helpers.mergekit_runs import compare_with_mergekit
from helpers.parents import make_family

pytestmark = pytest.mark.mergekit

EXAMPLES = {
    "a plain average of three with weights": """
models:
  - {model: a, parameters: {weight: 1.0}}
  - {model: b, parameters: {weight: 0.3}}
  - {model: c, parameters: {weight: 0.5}}
merge_method: linear
dtype: float16
""",
    "slerp with gradients that cross": """
slices:
  - sources:
      - {model: a, layer_range: [0, 4]}
      - {model: b, layer_range: [0, 4]}
merge_method: slerp
base_model: a
parameters:
  t:
    - filter: self_attn
      value: [0, 0.4, 0.2, 0.8, 1]
    - filter: mlp
      value: [1, 0.6, 0.8, 0.2, 0]
    - value: 0.5
dtype: float16
""",
    "ties with gradients and filters": """
models:
  - model: a
    parameters:
      density: [1, 0.6, 0.2]
      weight: 1.0
  - model: b
    parameters:
      density: 0.5
      weight: [0, 0.2, 0.8, 1]
  - model: c
    parameters:
      density: 0.33
      weight:
        - filter: mlp
          value: 0.5
        - value: 0
merge_method: ties
base_model: base
parameters:
  normalize: true
  int8_mask: true
dtype: float16
""",
    "a taller model of slices": """
slices:
  - sources:
      - model: a
        layer_range: [0, 3]
  - sources:
      - model: b
        layer_range: [1, 4]
merge_method: passthrough
dtype: float16
""",
    "task vectors that are added and taken away": """
merge_method: task_arithmetic
base_model: base
models:
  - model: a
    parameters: {weight: 0.8}
  - model: b
    parameters: {weight: -0.3}
dtype: bfloat16
""",
    "della of one parent with everything kept": """
models:
  - model: a
    parameters: {density: 1, weight: 1, lambda: 0.9}
merge_method: della
base_model: base
parameters: {density: 1, weight: 1, lambda: 0.9, normalize: true, int8_mask: true}
dtype: bfloat16
""",
    "model stock with keys beside the parameters": """
merge_method: model_stock
base_model: base
models: [{model: a}, {model: b}, {model: c}]
dtype: bfloat16
int8_mask: true
normalize: true
""",
    "sce": """
models:
  - {model: base}
  - {model: a}
  - {model: b}
merge_method: sce
base_model: base
parameters: {select_topk: 0.75}
dtype: bfloat16
""",
}


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return make_family(
        tmp_path_factory.mktemp("family"),
        ("base", "a", "b", "c"),
        arch="llama",
        num_hidden_layers=4,
        dtype=torch.float32,
    )


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_equal_mergekit(name: str, family: dict[str, Any], tmp_path: Path) -> None:
    """Within 1e-6 of each tensor's largest value, in float32."""
    difference, _ = compare_with_mergekit(yaml.safe_load(EXAMPLES[name]), family, tmp_path)
    assert difference < 1e-6
