"""Layers in the names of tensors."""

from __future__ import annotations

import pytest

from mergesearch.gguf.names import layer_of, with_layer


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("model.layers.12.mlp.up_proj.weight", 12),
        ("blk.3.attn_v.weight", 3),
        ("blk.0.attn_v.weight", 0),
        ("output.weight", None),
        ("model.embed_tokens.weight", None),
        ("3.weight", None),
        ("model.weight.3", None),
        ("model.layers.2.experts.7.weight", 2),
    ],
)
def test_layer_of(name: str, layer: int | None) -> None:
    assert layer_of(name) == layer


@pytest.mark.parametrize(
    ("name", "layer", "expected"),
    [
        ("model.layers.0.mlp.up_proj.weight", 12, "model.layers.12.mlp.up_proj.weight"),
        ("blk.3.attn_v.weight", 0, "blk.0.attn_v.weight"),
        ("model.layers.2.experts.7.weight", 5, "model.layers.5.experts.7.weight"),
    ],
)
def test_with_layer(name: str, layer: int, expected: str) -> None:
    assert with_layer(name, layer) == expected
