"""What a space becomes once its parents are known."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.parents import make_family

from mergesearch.build import Workshop
from mergesearch.runs.inputs import fitted_space
from mergesearch.space import Space


def space_of(family: dict[str, str]) -> Space:
    weight = {"search": [0, 1], "per": ["attn", "mlp"]}
    models = [{"model": ref, "parameters": {"weight": weight}} for ref in family.values()]
    return Space({"merge_method": "linear", "models": models})


@pytest.mark.parametrize(("arch", "text"), [("mixtral", "block_sparse_moe"), ("qwen3_moe", "mlp")])
def test_the_mlp_of_a_space_is_the_experts_of_its_parents(
    arch: str, text: str, tmp_path: Path
) -> None:
    family = make_family(tmp_path, ("a", "b"), arch=arch)
    space = space_of(family)
    fitted = fitted_space(space, Workshop.open(family.values()))
    assert (fitted is space) == (arch == "qwen3_moe")
    (recipe, *_) = fitted.examples("high")
    filters = [
        entry.get("filter") for entry in recipe.to_dict()["models"][0]["parameters"]["weight"]
    ]
    assert filters == ["self_attn", text, None]
    assert Workshop.open(family.values()).notes(recipe) == []
