"""Runs of mergekit itself on a recipe, and how far its weights are from ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from safetensors.numpy import load_file

from mergesearch.checkpoint import open_parents
from mergesearch.merge import MergePlan, plan_merge
from mergesearch.recipe import Recipe


def compare_with_mergekit(
    document: dict[str, Any], family: dict[str, str], folder: Path
) -> tuple[float, int]:
    """Largest difference of any tensor, relative to its largest value, and the tensor count."""
    recipe = Recipe.from_dict(document).renamed(family)
    expected = run_mergekit(recipe, folder / "merged")
    plan = plan_merge(recipe, open_parents(recipe))
    assert {tensor.name for tensor in plan.tensors} == set(expected)
    worst = 0.0
    for tensor in plan.tensors:
        ours, theirs = merged(plan, tensor.name), expected[tensor.name]
        assert tensor.shape == theirs.shape
        scale = np.abs(theirs).max()
        worst = max(worst, float(np.abs(ours.reshape(theirs.shape) - theirs).max() / scale))
    return worst, len(expected)


def merged(plan: MergePlan, name: str) -> Any:
    tensor = next(one for one in plan.tensors if one.name == name)
    return plan.block(name, 0, tensor.rows)


def run_mergekit(recipe: Recipe, out: Path) -> dict[str, Any]:
    """Every tensor of mergekit's result for a recipe."""
    pytest.importorskip("mergekit")
    from mergekit.config import MergeConfiguration
    from mergekit.merge import MergeOptions, run_merge

    document = recipe.to_dict()
    del document["quantize"]
    document |= {"dtype": "float32", "out_dtype": "float32"}
    options = MergeOptions(copy_tokenizer=False, write_model_card=False, quiet=True)
    run_merge(
        MergeConfiguration.model_validate(yaml.safe_load(yaml.dump(document))), str(out), options
    )
    return {
        name: values
        for file in out.glob("*.safetensors")
        for name, values in load_file(file).items()
    }
