"""How tensors are stored in a GGUF: their names, and which rows are changed."""

from __future__ import annotations

import numpy as np
from helpers.parents import make_config

from mergesearch.gguf import (
    BuiltInLayout,
    RowChange,
    Segment,
    gguf_names,
    layout_of,
    stored_tensors,
)


def row_change(layout: BuiltInLayout, name: str) -> RowChange:
    """What is done to the rows of a tensor, by its Hugging Face name."""
    segments = [segment for tensor in stored_tensors(layout) for segment in tensor.segments]
    return next(segment.change for segment in segments if segment.name == name)


_GEMMA_NORMS = ("post_attention", "pre_feedforward")


def test_names() -> None:
    names = gguf_names(layout_of(make_config("qwen2"), "test"))
    assert names["model.embed_tokens.weight"] == ("token_embd.weight",)
    assert names["lm_head.weight"] == ("output.weight",)
    assert names["model.norm.weight"] == ("output_norm.weight",)
    assert names["model.layers.1.self_attn.k_proj.bias"] == ("blk.1.attn_k.bias",)
    assert names["model.layers.0.post_attention_layernorm.weight"] == ("blk.0.ffn_norm.weight",)
    gemma = gguf_names(layout_of(make_config("gemma2"), "test"))
    after, before = (f"model.layers.0.{norm}_layernorm.weight" for norm in _GEMMA_NORMS)
    assert gemma[after] == ("blk.0.post_attention_norm.weight",)
    assert gemma[before] == ("blk.0.ffn_norm.weight",)


def test_a_fused_matrix_may_be_two_tensors() -> None:
    config = make_config("granitemoehybrid", shared_intermediate_size=96)
    layout = layout_of(config, "test")
    fused, down = (
        f"model.layers.1.shared_mlp.{name}_linear.weight" for name in ("input", "output")
    )
    assert layout.tensor_shapes()[fused] == (192, 64)
    names = gguf_names(layout)
    assert names[fused] == ("blk.1.ffn_gate.weight", "blk.1.ffn_up.weight")
    assert names[down] == ("blk.1.ffn_down.weight",)
    stored = {tensor.name: tensor for tensor in stored_tensors(layout)}
    gate, up = (stored[name] for name in names[fused])
    assert gate.shape == up.shape == (96, 64)
    assert gate.segments == (Segment(fused, 0, 96),)
    assert up.segments == (Segment(fused, 96, 192),)


def test_heads_of_values_that_share_keys_are_spread() -> None:
    """Two heads of keys with two of values each: 0 1 2 3 is stored as 0 2 1 3."""
    layout = layout_of(make_config("qwen3_5_text"), "test")
    names = [name for name in layout.tensor_shapes() if "layers.3." in name]
    assert not any("linear_attn" in name for name in names)
    stored = {tensor.name: tensor for tensor in stored_tensors(layout)}

    def rows(name: str) -> list[tuple[int, int]]:
        return [(segment.start, segment.stop) for segment in stored[name].segments]

    assert rows("blk.0.attn_gate.weight") == [(0, 16), (32, 48), (16, 32), (48, 64)]
    assert rows("blk.0.attn_qkv.weight") == [(0, 64), (64, 80), (96, 112), (80, 96), (112, 128)]
    assert rows("blk.0.ssm_a") == [(0, 1), (2, 3), (1, 2), (3, 4)]
    assert rows("blk.0.ssm_dt.bias") == rows("blk.0.ssm_beta.weight") == rows("blk.0.ssm_a")
    assert stored["blk.0.ssm_conv1d.weight"].shape == (128, 4)
    assert rows("blk.0.ssm_conv1d.weight") == rows("blk.0.attn_qkv.weight")
    out = stored["blk.0.ssm_out.weight"].segments[0].change
    assert out == RowChange(grouped=(2, 2))
    assert out.to_gguf(np.arange(8.0).reshape(1, 8)).tolist() == [[0, 1, 4, 5, 2, 3, 6, 7]]
    changes = {
        name: stored[name].segments[0].change for name in ("blk.0.ssm_norm.weight", "blk.0.ssm_a")
    }
    assert changes == {"blk.0.ssm_norm.weight": RowChange(), "blk.0.ssm_a": RowChange(decay=True)}


def test_changes_of_values_are_undone() -> None:
    block = np.array([[0.5, -1.0, 0.25, 2.0, 1.5, 3.0]], dtype=np.float32)
    for change in (RowChange(decay=True), RowChange(grouped=(3, 2)), RowChange(added=1.0)):
        assert change.of_values
        assert np.allclose(change.from_gguf(change.to_gguf(block)), block, rtol=1e-6)
    assert not RowChange(together=2).of_values


def test_norms_of_gemma_are_stored_with_one_added() -> None:
    block = np.array([[0.25, -0.5]], dtype=np.float32)
    change = RowChange(added=1.0)
    assert change.to_gguf(block).tolist() == [[1.25, 0.5]]
    assert change.from_gguf(change.to_gguf(block)).tolist() == block.tolist()
    gemma, llama = (layout_of(make_config(arch), "test") for arch in ("gemma3_text", "llama"))
    for name in ("model.norm.weight", "model.layers.0.self_attn.q_norm.weight"):
        assert row_change(gemma, name) == change
    assert row_change(gemma, "model.layers.0.self_attn.q_proj.weight") == RowChange()
    assert row_change(llama, "model.norm.weight") == RowChange()


def test_only_llama_queries_and_keys_are_reordered() -> None:
    llama, qwen = (layout_of(make_config(arch), "test") for arch in ("llama", "qwen2"))
    for name, together in (("q_proj", 16), ("k_proj", 16), ("v_proj", 1), ("o_proj", 1)):
        full = f"model.layers.0.self_attn.{name}.weight"
        assert row_change(llama, full).together == together
        assert row_change(qwen, full).together == 1
