"""Names, row order and metadata of a GGUF."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from helpers.parents import ARCHITECTURES, make_config, make_parent
from transformers import AutoConfig, AutoModelForCausalLM

from mergesearch.build import Workshop
from mergesearch.errors import CheckpointError
from mergesearch.gguf import (
    ROPE_FACTORS,
    RowChange,
    extra_tensors,
    gguf_names,
    layer_of,
    layout_of,
    row_change,
    stored_tensors,
)
from mergesearch.recipe import Recipe

LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}

SHORT = {"short_factor": [1.0] * 8}

_GEMMA_NORMS = ("post_attention", "pre_feedforward")


def fields(folder: Path, tmp_path: Path) -> dict[str, Any]:
    """The metadata of one parent's F32 GGUF."""
    recipe = Recipe.from_dict({"merge_method": "linear", "models": [{"model": str(folder)}]})
    Workshop.for_recipe(recipe).gguf(recipe, tmp_path / "m.gguf", quant="F32")
    reader = gguf.GGUFReader(tmp_path / "m.gguf")
    return {
        name: field.contents()
        for name, field in reader.fields.items()
        if not name.startswith(("GGUF.", "tokenizer."))
    }


def test_metadata_of_qwen2(tmp_path: Path) -> None:
    """The keys and values that llama.cpp's converter writes, the name apart."""
    folder = make_parent(tmp_path / "a", rope_theta=1000000.0)
    (folder / "generation_config.json").write_text(json.dumps({"top_k": 20, "temperature": 0.7}))
    found = fields(folder, tmp_path)
    assert found.pop("qwen2.attention.layer_norm_rms_epsilon") == pytest.approx(1e-6)
    assert found.pop("general.sampling.temp") == pytest.approx(0.7)
    assert found == {
        "general.architecture": "qwen2",
        "general.type": "model",
        "general.sampling.top_k": 20,
        "general.name": "mergesearch candidate",
        "general.size_label": "111K",
        "qwen2.block_count": 2,
        "qwen2.context_length": 256,
        "qwen2.embedding_length": 64,
        "qwen2.feed_forward_length": 96,
        "qwen2.attention.head_count": 4,
        "qwen2.attention.head_count_kv": 2,
        "qwen2.rope.freq_base": 1000000.0,
        "general.quantization_version": 2,
        "general.file_type": 0,
    }


def test_metadata_of_llama_with_yarn(tmp_path: Path) -> None:
    scaling = {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}
    folder = make_parent(tmp_path / "a", arch="llama", rope_scaling=scaling)
    found = fields(folder, tmp_path)
    expected = {
        "general.architecture": "llama",
        "llama.vocab_size": 384,
        "llama.rope.dimension_count": 16,
        "llama.attention.key_length": 16,
        "llama.attention.value_length": 16,
        "llama.rope.scaling.type": "yarn",
        "llama.rope.scaling.factor": 4.0,
        "llama.rope.scaling.original_context_length": 64,
        "llama.rope.freq_base": 10000.0,
    }
    assert {key: found[key] for key in expected} == expected


def test_names() -> None:
    names = gguf_names(layout_of(make_config("qwen2"), "test"))
    assert names["model.embed_tokens.weight"] == "token_embd.weight"
    assert names["lm_head.weight"] == "output.weight"
    assert names["model.norm.weight"] == "output_norm.weight"
    assert names["model.layers.1.self_attn.k_proj.bias"] == "blk.1.attn_k.bias"
    assert names["model.layers.0.post_attention_layernorm.weight"] == "blk.0.ffn_norm.weight"
    gemma = gguf_names(layout_of(make_config("gemma2"), "test"))
    after, before = (f"model.layers.0.{one}_layernorm.weight" for one in _GEMMA_NORMS)
    assert gemma[after] == "blk.0.post_attention_norm.weight"
    assert gemma[before] == "blk.0.ffn_norm.weight"


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("model.layers.12.mlp.up_proj.weight", 12),
        ("blk.3.attn_v.weight", 3),
        ("output.weight", None),
        ("model.embed_tokens.weight", None),
    ],
)
def test_layer_of(name: str, layer: int | None) -> None:
    assert layer_of(name) == layer


def test_rows_of_a_head_interleave_its_halves() -> None:
    """Rows 0, 1, 2, 3 of a head become 0, 2, 1, 3; a bias likewise; and back."""
    change = RowChange(together=4)
    block = np.arange(16, dtype=np.float32).reshape(8, 2)
    stored = change.to_gguf(block)
    assert (stored[:, 0] / 2).tolist() == [0, 2, 1, 3, 4, 6, 5, 7]
    assert change.from_gguf(stored).tolist() == block.tolist()
    bias = np.arange(8, dtype=np.float32).reshape(1, 8)
    assert change.to_gguf(bias).tolist() == [[0, 2, 1, 3, 4, 6, 5, 7]]
    assert change.from_gguf(change.to_gguf(bias)).tolist() == bias.tolist()
    assert RowChange().to_gguf(block) is block


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


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_tensors_are_those_of_transformers(arch: str) -> None:
    """Names and shapes equal those of the model that transformers makes of the config."""
    config = make_config(arch)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**config))
    expected = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    if config["tie_word_embeddings"]:
        del expected["lm_head.weight"]
    layout = layout_of(config, "test")
    assert layout.tensor_shapes() == expected
    stored = stored_tensors(layout)
    assert [tensor.segments[0].name for tensor in stored] == list(layout.tensor_shapes())
    assert len({tensor.name for tensor in stored}) == len(stored)


def test_rope_factors_of_llama3() -> None:
    """High frequencies stay, low ones are slowed eightfold, the passage rises between."""
    config = make_config("llama", rope_parameters=LLAMA3)
    factors = extra_tensors(layout_of(config, "test"), config)[ROPE_FACTORS]
    assert factors.dtype == np.float32
    assert factors.shape == (8,)
    assert factors[0] == 1.0
    assert factors[-4:].tolist() == [8.0] * 4
    assert (np.diff(factors) >= 0).all()
    assert extra_tensors(layout_of(make_config("llama"), "test"), make_config("llama")) == {}


def test_unsupported_architecture() -> None:
    with pytest.raises(CheckpointError, match="GemmaForCausalLM"):
        layout_of(make_config() | {"architectures": ["GemmaForCausalLM"]}, "here")


@pytest.mark.parametrize(
    ("arch", "changes", "message"),
    [
        ("qwen3", {"attention_bias": True}, "no place for attention_bias"),
        ("gemma2", {"tie_word_embeddings": False}, "no place for a head"),
        ("gemma2", {"query_pre_attn_scalar": 48}, "query_pre_attn_scalar is 48"),
        ("gemma2", {"rope_theta": 1e6}, "rope_theta is 1000000"),
        ("gemma2", {"attn_logit_softcapping": None}, "attn_logit_softcapping is None"),
        ("gemma3_text", {"sliding_window_pattern": 4}, "sliding_window_pattern is 4"),
        ("gemma3_text", {"layer_types": ["full_attention"] * 7}, "layer_types is"),
        ("gemma3_text", {"attn_logit_softcapping": 50.0}, "attn_logit_softcapping is 50"),
        ("phi3", {"rope_scaling": {"type": "odd", "long_factor": [1.0] * 8} | SHORT}, "'odd'"),
    ],
)
def test_what_llama_cpp_would_compute_otherwise_is_refused(
    arch: str, changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    def build() -> None:
        fields(make_parent(tmp_path / "a", arch=arch, **changes), tmp_path)

    with pytest.raises(CheckpointError, match=message):
        build()
