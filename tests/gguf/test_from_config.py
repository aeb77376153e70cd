"""Sizes out of a config.json, and what llama.cpp has no place for."""

from __future__ import annotations

from typing import Any

import pytest
from helpers.parents import make_config

from mergesearch.errors import CheckpointError
from mergesearch.gguf import layout_of


def test_sizes() -> None:
    layout = layout_of(make_config("qwen3_moe"), "test")
    assert (layout.n_layers, layout.hidden, layout.n_heads, layout.n_kv_heads) == (2, 64, 4, 2)
    assert (layout.head_dim, layout.n_experts, layout.expert_feed_forward) == (32, 4, 32)
    assert (layout.vocab_rows, layout.tied, layout.biases) == (384, False, frozenset())


def test_layers_have_the_familys_kinds_where_the_config_is_silent() -> None:
    layout = layout_of(make_config("qwen3_5_text", num_hidden_layers=5), "test")
    assert layout.kinds == (*["linear_attention"] * 3, "full_attention", "linear_attention")


@pytest.mark.parametrize(
    ("arch", "changes", "message"),
    [
        (
            "qwen2",
            {"architectures": ["GemmaForCausalLM"]},
            'unsupported architecture "GemmaForCausalLM"',
        ),
        ("qwen2", {"hidden_size": 0}, "hidden_size is 0"),
        ("qwen2", {"num_key_value_heads": 3}, "4 attention heads share 3"),
        ("qwen2", {"hidden_act": "relu"}, 'hidden_act is "relu"'),
        ("qwen3", {"head_dim": 15}, "heads of 15 rows"),
        ("mixtral", {"num_experts_per_tok": 5}, "5 of 4 experts are used"),
        ("qwen3_5_text", {"layer_types": ["full_attention"]}, "layer_types does not have one kind"),
        (
            "gemma4_text",
            {"layer_types": ["linear_attention"] * 5},
            "layer_types does not have one kind",
        ),
    ],
)
def test_refused(arch: str, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        layout_of(make_config(arch) | changes, "here")
