"""Names, row order and metadata of a GGUF."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from parents import make_config, make_parent

from mergesearch.candidate import build_gguf
from mergesearch.checkpoint import open_parents
from mergesearch.errors import CheckpointError
from mergesearch.gguf_layout import (
    gguf_names,
    layer_of,
    layout_of,
    rope_factors,
    rows_together,
    to_gguf_rows,
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


def fields(folder: Path, tmp_path: Path) -> dict[str, Any]:
    """The metadata of one parent's F32 GGUF."""
    recipe = Recipe.from_dict({"merge_method": "linear", "models": [{"model": str(folder)}]})
    build_gguf(recipe, open_parents(recipe), tmp_path / "m.gguf", quant="F32")
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
    """Rows 0, 1, 2, 3 of a head become 0, 2, 1, 3; a bias likewise."""
    block = np.arange(16, dtype=np.float32).reshape(8, 2)
    assert (to_gguf_rows(block, 4)[:, 0] / 2).tolist() == [0, 2, 1, 3, 4, 6, 5, 7]
    bias = np.arange(8, dtype=np.float32).reshape(1, 8)
    assert to_gguf_rows(bias, 4).tolist() == [[0, 2, 1, 3, 4, 6, 5, 7]]
    assert to_gguf_rows(block, 1) is block


def test_only_llama_queries_and_keys_are_reordered() -> None:
    llama, qwen = (layout_of(make_config(arch), "test") for arch in ("llama", "qwen2"))
    for name, together in (("q_proj", 16), ("k_proj", 16), ("v_proj", 1), ("o_proj", 1)):
        full = f"model.layers.0.self_attn.{name}.weight"
        assert rows_together(llama, full) == together
        assert rows_together(qwen, full) == 1


def test_rope_factors_of_llama3() -> None:
    """High frequencies stay, low ones are slowed eightfold, the passage rises between."""
    config = make_config("llama", rope_parameters=LLAMA3)
    factors = rope_factors(layout_of(config, "test"), config)
    assert factors is not None
    assert factors.dtype == np.float32
    assert factors.shape == (8,)
    assert factors[0] == 1.0
    assert factors[-4:].tolist() == [8.0] * 4
    assert (np.diff(factors) >= 0).all()
    assert rope_factors(layout_of(make_config("llama"), "test"), make_config("llama")) is None


def test_unsupported_architecture() -> None:
    with pytest.raises(CheckpointError, match="GemmaForCausalLM"):
        layout_of(make_config() | {"architectures": ["GemmaForCausalLM"]}, "here")
