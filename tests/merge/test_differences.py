"""What is said of parents whose settings differ."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from helpers.parents import make_parent

from mergesearch.build import Workshop
from mergesearch.recipe import Recipe

YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}


def notes(folders: list[Path], **changes: Any) -> list[str]:
    models = [{"model": str(folder)} for folder in folders]
    recipe = Recipe.from_dict({"merge_method": "linear", "models": models} | changes)
    found = Workshop.for_recipe(recipe).notes(recipe)
    return [note.replace(f"{folders[0].parent}/", "") for note in found]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"rope_theta": 5e5}, ["rope_theta is 10000 in the merge, 500000 in b"]),
        (
            {"rope_theta": None, "rope_parameters": {"rope_type": "default", "rope_theta": 1e4}},
            [],
        ),
        (
            {"rope_scaling": YARN},
            [
                "rope scaling is not set in the merge,"
                " yarn factor=4 original_max_position_embeddings=64 in b"
            ],
        ),
        ({"sliding_window": 128}, ["sliding_window is not set in the merge, 128 in b"]),
        ({"sliding_window": 128, "use_sliding_window": False}, []),
        (
            {"max_position_embeddings": 512},
            ["max_position_embeddings is 256 in the merge, 512 in b"],
        ),
        ({"rms_norm_eps": 1e-5}, ["rms_norm_eps is 1e-06 in the merge, 1e-05 in b"]),
    ],
)
def test_settings_that_the_merge_takes_from_one_parent(
    changes: dict[str, Any], expected: list[str], tmp_path: Path
) -> None:
    folders = [make_parent(tmp_path / "a", 0), make_parent(tmp_path / "b", 1, **changes)]
    assert notes(folders) == expected


def test_parents_with_the_same_value_are_named_together(tmp_path: Path) -> None:
    folders = [
        make_parent(tmp_path / name, seed, rope_theta=theta)
        for seed, (name, theta) in enumerate({"a": 1e4, "b": 5e5, "c": 1e6, "d": 5e5}.items())
    ]
    assert notes(folders) == ["rope_theta is 10000 in the merge, 500000 in b and d, 1e+06 in c"]


def test_the_source_of_the_context_counts(tmp_path: Path) -> None:
    folders = [make_parent(tmp_path / "a", 0), make_parent(tmp_path / "b", 1, rope_theta=5e5)]
    assert notes(folders, context_source=str(folders[1])) == [
        "rope_theta is 500000 in the merge, 10000 in a"
    ]


def test_another_end_of_answers(tmp_path: Path) -> None:
    """A base that ends its texts with another token than its chat models."""
    folders = [make_parent(tmp_path / name, seed) for seed, name in enumerate("ab")]
    file = folders[1] / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"eos_token": "<|user|>"}))
    assert notes(folders) == ["eos_token is <|end|> in the merge, <|user|> in b"]


def test_what_was_left_out_of_a_parent_comes_first(tmp_path: Path) -> None:
    a = make_parent(tmp_path / "a", 0, tie_word_embeddings=True)
    b = make_parent(tmp_path / "b", 1)
    config = json.loads((b / "config.json").read_text())
    (b / "config.json").write_text(json.dumps(config | {"tie_word_embeddings": True}))
    assert notes([a, b]) == ["b: lm_head.weight is left out: the model's head is its embedding"]


def test_a_filter_without_tensors_is_named(tmp_path: Path) -> None:
    """As a slip is, and `mlp` in a Mixtral, whose layers name it otherwise."""
    folder = make_parent(tmp_path / "a", arch="mixtral")
    weight = [{"filter": "self_attn", "value": 1}, {"filter": "mlp", "value": 1}, {"value": 1}]
    parameters = {"weight": weight}
    models = [{"model": str(folder), "parameters": parameters}]
    recipe = Recipe.from_dict({"merge_method": "linear", "models": models})
    assert Workshop.for_recipe(recipe).notes(recipe) == [
        "the filter 'mlp' is in no tensor's name: a layer has input_layernorm, self_attn,"
        " block_sparse_moe, post_attention_layernorm"
    ]
    weight[1]["filter"] = "block_sparse_moe"
    recipe = Recipe.from_dict({"merge_method": "linear", "models": models})
    assert Workshop.for_recipe(recipe).notes(recipe) == []
