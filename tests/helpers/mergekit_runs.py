"""Runs of mergekit itself on a recipe, and how far its weights are from ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from safetensors.torch import load_file

from mergesearch.merge import MergedModel, plan_merge
from mergesearch.parents import open_parents
from mergesearch.recipe import Recipe


def compare_with_mergekit(
    document: dict[str, Any], family: dict[str, str], folder: Path, dtype: str = "float32"
) -> tuple[float, int]:
    """Largest difference of any tensor, relative to its largest value, and the tensor count.

    mergekit computes in `dtype`.
    """
    recipe = Recipe.from_dict(document).renamed(family)
    written = recipe.to_dict()
    del written["quantize"]
    expected = run_mergekit(written, folder / "merged", dtype)
    return largest_difference(recipe, expected), len(expected)


def largest_difference(recipe: Recipe, expected: dict[str, Any]) -> float:
    """Largest difference of any tensor of our plan, relative to its largest value."""
    plan = plan_merge(recipe, open_parents(recipe.parents()))
    assert set(plan.tensors) == set(expected)
    worst = 0.0
    for tensor in plan.tensors.values():
        ours, theirs = merged(plan, tensor.name), expected[tensor.name]
        assert tensor.shape == theirs.shape
        scale = np.abs(theirs).max()
        worst = max(worst, float(np.abs(ours.reshape(theirs.shape) - theirs).max() / scale))
    return worst


def merged(model: MergedModel, name: str) -> Any:
    return model.rows(name, 0, model.tensors[name].rows)


def run_mergekit(document: dict[str, Any], out: Path, dtype: str = "float32") -> dict[str, Any]:
    """Every tensor of mergekit's result for one document, computed and stored in `dtype`."""
    pytest.importorskip("mergekit")
    from mergekit.config import MergeConfiguration
    from mergekit.merge import MergeOptions, run_merge

    document = document | {"dtype": dtype, "out_dtype": dtype}
    options = MergeOptions(copy_tokenizer=False, write_model_card=False, quiet=True)
    run_merge(
        MergeConfiguration.model_validate(yaml.safe_load(yaml.dump(document))), str(out), options
    )
    return stored(out)


def run_mergekit_multi(text: str, out: Path) -> dict[str, Any]:
    """Every tensor of the result that `mergekit-multi` writes for several documents."""
    multi = pytest.importorskip("mergekit.scripts.multimerge")
    from click.testing import CliRunner

    out.mkdir()
    (out / "documents.yaml").write_text(text, encoding="utf-8")
    arguments = [str(out / "documents.yaml"), "--out-path", str(out / "last")]
    arguments += ["-I", str(out / "stages"), "--no-copy-tokenizer"]
    result = CliRunner().invoke(multi.main, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return stored(out / "last")


def stored(folder: Path) -> dict[str, Any]:
    """Every tensor of a folder's safetensors files, as float32."""
    return {
        name: values.float().numpy()
        for file in folder.glob("*.safetensors")
        for name, values in load_file(file).items()
    }
