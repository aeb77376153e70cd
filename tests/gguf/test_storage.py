"""How tensors are stored in a GGUF: their names, and which rows are changed."""

from __future__ import annotations

import numpy as np
from helpers.parents import make_config

from mergesearch.gguf import RowChange, Segment, gguf_names, layout_of, row_change, stored_tensors

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
