"""Recipes that several tests read."""

from __future__ import annotations

from typing import Any

from mergesearch.recipe import Recipe

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


LINEAR: dict[str, Any] = {"merge_method": "linear", "models": [{"model": "p"}]}


def recipe_of(
    method: str, parents: str = "a", base: str | None = "base", **parameters: Any
) -> Recipe:
    document: dict[str, Any] = {
        "merge_method": method,
        "models": [{"model": parent} for parent in parents],
        "parameters": parameters,
    }
    return Recipe.from_dict(document | ({} if base is None else {"base_model": base}))


PAIR: dict[str, Any] = {"merge_method": "linear", "models": [{"model": "a"}, {"model": "b"}]}
