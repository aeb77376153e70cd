"""The key that says how the candidate is quantized."""

from __future__ import annotations

import yaml
from helpers.recipes import TIES

from mergesearch.recipe import Quantization, Recipe


def test_types_of_single_tensors_are_kept() -> None:
    quantize = {"mix": "Q5_K_M", "tensors": {"attn_v": "Q8_0", "blk.0": "Q6_K"}}
    recipe = Recipe.from_dict(yaml.safe_load(TIES) | {"quantize": quantize})
    assert recipe.quantize == Quantization("Q5_K_M", {"attn_v": "Q8_0", "blk.0": "Q6_K"})
    assert Recipe.from_yaml(recipe.to_yaml()) == recipe
    assert recipe.to_dict()["quantize"] == quantize
