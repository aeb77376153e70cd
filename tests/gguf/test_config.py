"""The config.json that the metadata of a GGUF describes, from literal metadata."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.parents import make_config

from mergesearch.errors import CheckpointError
from mergesearch.gguf import extra_tensors, layout_of
from mergesearch.gguf.config import config_of_gguf, has_predicting_layers
from mergesearch.gguf.fields import Fields
from mergesearch.gguf.rope import LONG_FACTORS, ROPE_FACTORS, SHORT_FACTORS

SIZES = {
    "block_count": 2,
    "embedding_length": 64,
    "feed_forward_length": 96,
    "context_length": 256,
    "attention.head_count": 4,
    "attention.head_count_kv": 2,
    "attention.layer_norm_rms_epsilon": np.float32(1e-6).item(),
}
SHAPES = {"token_embd.weight": (384, 64), "output.weight": (384, 64), "output_norm.weight": (64,)}
TIED = {name: shape for name, shape in SHAPES.items() if name != "output.weight"}
CONFIG = {
    "architectures": ["Qwen2ForCausalLM"],
    "model_type": "qwen2",
    "hidden_act": "silu",
    "vocab_size": 384,
    "tie_word_embeddings": False,
    "attention_bias": False,
    "mlp_bias": False,
    "num_hidden_layers": 2,
    "hidden_size": 64,
    "intermediate_size": 96,
    "max_position_embeddings": 256,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0,
}


def fields(arch: Any, **changes: Any) -> Fields:
    values = {key: value for key, value in (SIZES | changes).items() if value is not None}
    named = {f"{arch}.{key}": value for key, value in values.items() if "tokenizer" not in key}
    named |= {key: value for key, value in values.items() if "tokenizer" in key}
    return Fields({"general.architecture": arch} | named, Path("m.gguf"))


def config_of(
    arch: Any, *, shapes: Any = SHAPES, constants: Any = None, **changes: Any
) -> dict[str, Any]:
    return config_of_gguf(fields(arch, **changes), shapes, constants or {})


def test_a_plain_architecture() -> None:
    assert config_of("qwen2") == CONFIG


def test_tensors_tell_the_head_and_the_biases() -> None:
    biased = {"blk.0.attn_q.bias": (64,), "blk.0.ffn_up.bias": (96,)}
    found = config_of("llama", shapes=TIED | biased)
    assert found["tie_word_embeddings"]
    assert (found["attention_bias"], found["mlp_bias"]) == (True, True)


def test_what_may_be_absent_is_left_out_or_follows() -> None:
    special = {"tokenizer.ggml.bos_token_id": 1, "tokenizer.ggml.eos_token_id": 0}
    changes = {"attention.head_count_kv": None, "attention.key_length": 32, "rope.freq_base": 5e5}
    found = config_of("qwen3", **changes, **special)
    assert (found["num_key_value_heads"], found["head_dim"], found["rope_theta"]) == (4, 32, 5e5)
    assert (found["bos_token_id"], found["eos_token_id"]) == (1, 0)
    assert "pad_token_id" not in found


def test_layers_that_predict_several_tokens_are_none() -> None:
    """Only the count tells: there have to be as many tensors as layers, though."""
    assert config_of("qwen3", block_count=3, nextn_predict_layers=1)["num_hidden_layers"] == 2
    assert has_predicting_layers(fields("qwen3", nextn_predict_layers=1))
    assert not has_predicting_layers(fields("qwen3", nextn_predict_layers=0))
    with pytest.raises(CheckpointError, match=r"m.gguf: 0 layers of 3 tensors"):
        config_of("qwen3", block_count=1, nextn_predict_layers=1)
    with pytest.raises(CheckpointError, match=r"m.gguf: 4 layers of 3 tensors"):
        config_of("qwen3", block_count=4)


def test_a_llama_with_experts_is_a_mixtral() -> None:
    found = config_of("llama", expert_count=4, expert_used_count=2)
    assert (found["architectures"], found["model_type"]) == (["MixtralForCausalLM"], "mixtral")
    assert (found["num_local_experts"], found["num_experts_per_tok"]) == (4, 2)


def test_a_mixtral_with_a_window_is_a_mixtral() -> None:
    experts = {"expert_count": 4, "expert_used_count": 2, "attention.sliding_window": 4096}
    assert config_of("llama", **experts)["model_type"] == "mixtral"


def test_experts_have_a_width_of_their_own() -> None:
    experts = {"expert_count": 8, "expert_used_count": 2, "expert_feed_forward_length": 32}
    found = config_of("qwen3moe", **experts)
    assert (found["num_experts"], found["moe_intermediate_size"]) == (8, 32)
    assert found["norm_topk_prob"]


def test_an_olmo_with_windows_is_an_olmo_3() -> None:
    windows = {"attention.sliding_window": 16, "attention.sliding_window_pattern": [True, False]}
    found = config_of("olmo2", **windows)
    assert (found["architectures"], found["sliding_window"]) == (["Olmo3ForCausalLM"], 16)
    assert found["layer_types"] == ["sliding_attention", "full_attention"]
    assert config_of("olmo2")["architectures"] == ["Olmo2ForCausalLM"]


def test_a_granite_scales_what_its_metadata_name() -> None:
    scales = {"attention.scale": 0.25, "embedding_scale": 3.0, "residual_scale": 0.5}
    found = config_of("granite", **scales, logit_scale=4.0)
    assert (found["attention_multiplier"], found["embedding_multiplier"]) == (0.25, 3.0)
    assert (found["residual_multiplier"], found["logits_scaling"]) == (0.5, 4.0)


def test_a_gemma_scales_attention_by_the_heads_length_but_for_one_size() -> None:
    changes = {"attention.key_length": 32, "attention.sliding_window": 16}
    found = config_of("gemma2", shapes=TIED, **changes)
    assert (found["query_pre_attn_scalar"], found["sliding_window"]) == (32, 16)
    assert found["hidden_activation"] == "gelu_pytorch_tanh"
    many = {f"blk.{layer}.attn_norm.weight": (64,) for layer in range(46)} | TIED
    large = config_of("gemma2", shapes=many, block_count=46, **changes)
    assert large["query_pre_attn_scalar"] == 16  # 64 / 4 heads


def test_a_part_of_each_head_is_turned() -> None:
    assert config_of("glm4", **{"rope.dimension_count": 8})["partial_rotary_factor"] == 0.5


def test_linear_attention_and_which_layers_have_it() -> None:
    sizes = {"ssm.conv_kernel": 4, "ssm.state_size": 16, "ssm.group_count": 2}
    sizes |= {"ssm.time_step_rank": 4, "full_attention_interval": 2, "rope.dimension_count": 16}
    found = config_of("qwen35", **sizes, **{"attention.key_length": 32})
    assert found["layer_types"] == ["linear_attention", "full_attention"]
    assert (found["linear_key_head_dim"], found["linear_value_head_dim"]) == (16, 16)
    assert (found["linear_num_key_heads"], found["linear_num_value_heads"]) == (2, 4)
    assert found["partial_rotary_factor"] == 0.5


# -- rotary positions ------------------------------------------------------------------------------


def test_linear_and_yarn_scaling() -> None:
    linear = {"rope.scaling.type": "linear", "rope.scaling.factor": 4.0}
    assert config_of("qwen2", **linear)["rope_scaling"] == {"rope_type": "linear", "factor": 4.0}
    yarn = {"rope.scaling.type": "yarn", "rope.scaling.factor": 4.0}
    yarn |= {"rope.scaling.original_context_length": 64, "rope.scaling.yarn_beta_fast": 32.0}
    assert config_of("qwen2", **yarn)["rope_scaling"] == {
        "rope_type": "yarn",
        "factor": 4.0,
        "original_max_position_embeddings": 64,
        "beta_fast": 32.0,
    }
    assert "rope_scaling" not in config_of("qwen2", **{"rope.scaling.type": "none"})


LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}


@pytest.mark.parametrize("original", [64, 8192])
def test_factors_of_llama_3_give_their_settings_back(original: int) -> None:
    scaling = LLAMA3 | {"original_max_position_embeddings": original}
    config = make_config("llama", rope_scaling=scaling, num_hidden_layers=2)
    factors = extra_tensors(layout_of(config, "test"), config)
    assert config_of("llama", constants=factors)["rope_scaling"] == scaling


def test_the_factors_of_long_contexts_of_phi() -> None:
    factors = {LONG_FACTORS: np.full(8, 2.0, np.float32), SHORT_FACTORS: np.ones(8, np.float32)}
    changes = {"rope.scaling.original_context_length": 64, "rope.dimension_count": 16}
    factor = (1 + np.log(4) / np.log(64)) ** 0.5
    found = config_of("phi3", constants=factors, **changes, **{"rope.scaling.attn_factor": factor})
    assert found["rope_scaling"] == {
        "rope_type": "longrope",
        "long_factor": [2.0] * 8,
        "short_factor": [1.0] * 8,
    }
    with pytest.raises(CheckpointError, match=r"phi3.rope.scaling.attn_factor is 1.5"):
        config_of("phi3", constants=factors, **changes, **{"rope.scaling.attn_factor": 1.5})


@pytest.mark.parametrize(
    ("arch", "changes", "message"),
    [
        ("rwkv", {}, 'unsupported architecture "rwkv"\n  expected: llama, qwen2,'),
        (["llama"], {}, "unsupported architecture a list"),
        (None, {}, "m.gguf: names no architecture"),
        ("qwen2", {"shapes": {}}, "the matrix token_embd.weight is missing"),
        ("qwen2", {"embedding_length": None}, "needs `qwen2.embedding_length`"),
        ("phi3", {"attention.key_length": "x"}, 'attention.key_length is "x"'),
        ("qwen2", {"block_count": "two"}, 'qwen2.block_count is "two"'),
        ("qwen2", {"rope.scaling.type": "su"}, 'rope scaling "su"'),
        ("llama", {"constants": {ROPE_FACTORS: np.full(8, 3.5, np.float32)}}, "not those of Llama"),
        ("llama", {"constants": {LONG_FACTORS: np.ones(8)}}, f"unknown tensor {LONG_FACTORS}"),
        ("phi3", {"constants": {SHORT_FACTORS: np.ones(8)}}, f"unknown tensor {SHORT_FACTORS}"),
    ],
)
def test_refused(arch: Any, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        config_of(arch, **changes)
