"""The metadata of a GGUF: literal keys and values, and what llama.cpp would compute otherwise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gguf
import pytest
from helpers.parents import make_parent

from mergesearch.build import Workshop
from mergesearch.errors import CheckpointError
from mergesearch.recipe import Recipe

SHORT = {"short_factor": [1.0] * 8}


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


@pytest.mark.parametrize(
    ("arch", "changes", "message"),
    [
        ("qwen3", {"attention_bias": True}, "no place for attention_bias"),
        ("gemma2", {"tie_word_embeddings": False}, "no place for a head"),
        ("gemma2", {"query_pre_attn_scalar": 48}, "query_pre_attn_scalar is 48"),
        ("gemma2", {"rope_theta": 1e6}, "rope_theta is 1000000"),
        (
            "gemma2",
            {"attn_logit_softcapping": None},
            r"config\.json: needs `attn_logit_softcapping`",
        ),
        ("gemma3_text", {"sliding_window_pattern": 4}, "sliding_window_pattern is 4"),
        ("gemma3_text", {"layer_types": ["full_attention"] * 7}, "layer_types is"),
        ("gemma3_text", {"attn_logit_softcapping": 50.0}, "attn_logit_softcapping is 50"),
        ("gemma3_text", {"sliding_window": None}, "needs `sliding_window`"),
        ("gemma2", {"sliding_window": 0}, "sliding_window is 0"),
        ("gemma4_text", {"sliding_window": None}, "needs `sliding_window`"),
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
