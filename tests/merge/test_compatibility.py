"""What parents must have in common, and what may differ."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from helpers.parents import make_config

from mergesearch.errors import CheckpointError
from mergesearch.gguf import layout_of
from mergesearch.merge.compatibility import check_compatible


def parents(*configs: dict[str, Any]) -> Any:
    """Parents a, b, ... of which nothing but the layout is known."""
    return {
        name: SimpleNamespace(layout=layout_of(config, name))
        for name, config in zip("abc", configs, strict=False)
    }


@pytest.mark.parametrize("changes", [{}, {"vocab_size": 400}, {"tie_word_embeddings": True}])
def test_another_vocabulary_and_a_tied_head_fit(changes: dict[str, Any]) -> None:
    check_compatible(parents(make_config(), make_config(), make_config(**changes)))


@pytest.mark.parametrize(
    ("arch", "changes", "message"),
    [
        ("llama", {}, "architecture: Qwen2 in a, Llama in c"),
        ("qwen2", {"num_hidden_layers": 3}, "num_hidden_layers: 2 in a, 3 in c"),
        (
            "qwen2",
            {"intermediate_size": 128},
            r"model.layers.0.mlp.gate_proj.weight: \(96, 64\) in a, \(128, 64\) in c",
        ),
        (
            "qwen2",
            {"hidden_size": 128, "head_dim": 16},
            r"model.embed_tokens.weight: \(384, 64\) in a, \(384, 128\) in c",
        ),
        (
            "qwen2",
            {"num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 32},
            "num_attention_heads: 4 in a, 2 in c",
        ),
    ],
)
def test_the_first_difference_is_named(arch: str, changes: dict[str, Any], message: str) -> None:
    same = make_config("qwen2")
    with pytest.raises(CheckpointError, match=f"the parents differ in {message}"):
        check_compatible(parents(same, same, make_config(arch, **changes)))


def test_a_tensor_that_one_of_both_lacks_is_absent() -> None:
    plain, biased = make_config("llama"), make_config("llama", attention_bias=True)
    with pytest.raises(CheckpointError, match=r"q_proj.bias: absent in a, \(64,\) in b"):
        check_compatible(parents(plain, biased))
    with pytest.raises(CheckpointError, match=r"q_proj.bias: \(64,\) in a, absent in b"):
        check_compatible(parents(biased, plain))


def test_slices_may_come_from_parents_of_different_depth() -> None:
    deeper = parents(make_config(), make_config(num_hidden_layers=5))
    check_compatible(deeper, same_depth=False)
    wider = parents(make_config(), make_config(num_hidden_layers=5, intermediate_size=128))
    with pytest.raises(CheckpointError, match=r"differ in model.layers.0.mlp.gate_proj"):
        check_compatible(wider, same_depth=False)
