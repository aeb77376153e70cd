"""Architectures that are built in: folders of transformers' own classes, computed by llama.cpp."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np
import pytest
import torch
import transformers
from helpers.parents import write_tokenizer

from mergesearch.build import Workshop
from mergesearch.errors import CheckpointError
from mergesearch.recipe import Recipe

SIZES = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 5,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 384,
    "max_position_embeddings": 256,
    "bos_token_id": None,
    "eos_token_id": 0,
    "pad_token_id": 0,
    "initializer_range": 0.2,
}
EXPERTS = {"num_experts_per_tok": 2, "num_hidden_layers": 2}
MULTIPLIERS = {
    "attention_multiplier": 0.2,
    "embedding_multiplier": 3.0,
    "residual_multiplier": 0.7,
    "logits_scaling": 4.0,
}
LLAMA3 = {"rope_type": "llama3", "rope_theta": 1e4, "factor": 8.0, "low_freq_factor": 1.0}
LLAMA3 |= {"high_freq_factor": 4.0, "original_max_position_embeddings": 64}
LONG = {"rope_type": "longrope", "rope_theta": 1e4, "original_max_position_embeddings": 256}
LONG |= {"short_factor": [1.0] * 6, "long_factor": [2.0] * 6, "partial_rotary_factor": 0.75}
YARN = {"rope_type": "yarn", "rope_theta": 1e6, "factor": 4.0, "beta_fast": 32.0}
YARN |= {"beta_slow": 1.0, "original_max_position_embeddings": 4}
SCALED = YARN | {"mscale": 1.0, "mscale_all_dim": 1.0, "llama_4_scaling_beta": 0.1}
LINEAR = {"head_dim": 32, "linear_key_head_dim": 16, "linear_value_head_dim": 16}
LINEAR |= {"linear_num_key_heads": 2, "linear_num_value_heads": 2, "num_hidden_layers": 5}
GEMMA = {"head_dim": 16, "sliding_window": 4, "final_logit_softcapping": 30.0}
GEMMA |= {"global_head_dim": 32, "vocab_size_per_layer_input": 384}
GEMMA |= {"hidden_size_per_layer_input": 0}
GEMMA["layer_types"] = [f"{kind}_attention" for kind in ("sliding", "sliding", "full") * 2][:5]
GEMMA["layer_types"][-1] = "full_attention"
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "Llama 3.1": ("Llama", {"rope_parameters": LLAMA3}),
    "Mistral Small 3": ("Mistral", {"head_dim": 32, "sliding_window": None}),
    "Mixtral": ("Mixtral", EXPERTS | {"num_local_experts": 4}),
    "Qwen3-MoE": (
        "Qwen3Moe",
        EXPERTS
        | {"num_experts": 4, "moe_intermediate_size": 32, "norm_topk_prob": True, "head_dim": 32},
    ),
    "OLMo 2": ("Olmo2", {}),
    "Granite 3": ("Granite", MULTIPLIERS | {"tie_word_embeddings": True}),
    "OLMo 3": ("Olmo3", {"sliding_window": 4}),
    "OLMo 3 with a longer context": (
        "Olmo3",
        {
            "sliding_window": 4,
            "rope_parameters": {
                "full_attention": YARN,
                "sliding_attention": {"rope_type": "default", "rope_theta": 1e6},
            },
        },
    ),
    "Granite 4": (
        "GraniteMoeHybrid",
        MULTIPLIERS
        | {"layer_types": ["attention"] * 5, "num_local_experts": 0, "num_experts_per_tok": 0}
        | {"position_embedding_type": "rope", "shared_intermediate_size": 96}
        | {"tie_word_embeddings": True},
    ),
    "Ministral 3": ("Ministral3", {"head_dim": 32, "rope_parameters": SCALED}),
    "SmolLM3": ("SmolLM3", {"tie_word_embeddings": True}),
    "Qwen3.5": ("Qwen3_5", LINEAR | {"linear_num_value_heads": 6}),
    "Qwen3.5, small": ("Qwen3_5", LINEAR | {"tie_word_embeddings": True}),
    "Gemma 4 31B": (
        "Gemma4",
        GEMMA | {"attention_k_eq_v": True, "num_global_key_value_heads": 1},
    ),
    "Gemma 4 E2B": (
        "Gemma4",
        GEMMA
        | {"hidden_size_per_layer_input": 8, "num_kv_shared_layers": 2}
        | {"use_double_wide_mlp": True},
    ),
    "GLM-4": ("Glm4", {"head_dim": 16, "attention_bias": True, "partial_rotary_factor": 0.5}),
    "Phi-4-mini": ("Phi3", {"rope_parameters": LONG, "tie_word_embeddings": True}),
}
IDS = [5, 77, 300, 12, 350, 1, 9, 211, 34, 8]


def make_model(kind: str, folder: Path) -> Any:
    """A model with random weights, norms and biases too, saved with a tokenizer."""
    name, changes = KINDS[kind]
    own = "TextConfig" if name in ("Qwen3_5", "Gemma4") else "Config"
    config = getattr(transformers, f"{name}{own}")(**SIZES | changes)
    torch.manual_seed(3)
    model = getattr(transformers, f"{name}ForCausalLM")(config).eval()
    with torch.no_grad():
        scales = [value for name, value in model.named_buffers() if name.endswith("layer_scalar")]
        for parameter in (*model.parameters(), *scales):
            if parameter.dim() == 1:
                parameter.add_(torch.randn_like(parameter) * 0.2)
    model.save_pretrained(folder)
    write_tokenizer(folder)
    return model


def alone(folder: Path) -> Recipe:
    models = [{"model": str(folder), "parameters": {"weight": 1.0}}]
    return Recipe.from_dict({"merge_method": "linear", "models": models, "dtype": "float32"})


def logits_of(file: Path) -> Any:
    exact = {"type_k": llama_cpp.GGML_TYPE_F32, "type_v": llama_cpp.GGML_TYPE_F32}
    llama = llama_cpp.Llama(
        str(file), n_ctx=64, logits_all=True, verbose=False, n_threads=1, **exact
    )
    llama.eval(IDS)
    return np.array(llama.scores[: len(IDS)])


class RoundedGelu(torch.nn.Module):
    """A GELU as ggml has it: a table of its values, for numbers in F16."""

    def __init__(self, exact: torch.nn.Module) -> None:
        super().__init__()
        self.exact = exact

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return self.exact(values.half().float()).half().float()


def round_gelu(model: torch.nn.Module) -> None:
    for module in model.modules():
        if "GELU" in type(getattr(module, "act_fn", None)).__name__:
            module.act_fn = RoundedGelu(module.act_fn)


@pytest.mark.parametrize("kind", KINDS)
def test_llama_cpp_computes_what_transformers_does(kind: str, tmp_path: Path) -> None:
    """Every logit within a 20,000th of their spread, with a cache in float32.

    Four times that for Gemma, where a number may be rounded to the other side in F16.
    """
    model = make_model(kind, tmp_path / "model")
    recipe = alone(tmp_path / "model")
    Workshop.for_recipe(recipe).gguf(recipe, tmp_path / "m.gguf", quant="F32")
    round_gelu(model)
    with torch.no_grad():
        expected = model(torch.tensor([IDS])).logits[0].numpy()
    found = logits_of(tmp_path / "m.gguf")
    assert expected.std() > 0.1
    most = 2e-4 if "Gemma" in kind else 5e-5
    assert np.abs(found - expected).max() < most * np.ptp(expected)


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_that_is_built_is_the_same_model(kind: str, tmp_path: Path) -> None:
    model = make_model(kind, tmp_path / "model")
    recipe = alone(tmp_path / "model")
    Workshop.for_recipe(recipe).safetensors(recipe, tmp_path / "built")
    again = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "built")
    stored = model.state_dict()
    assert all(torch.equal(value, stored[name]) for name, value in again.state_dict().items())


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        ("Qwen3-MoE", {"norm_topk_prob": False}, "norm_topk_prob is false"),
        ("Qwen3-MoE", {"decoder_sparse_step": 2}, "decoder_sparse_step is 2"),
        ("SmolLM3", {"no_rope_layers": [1, 1, 0, 1, 1]}, "no_rope_layers is"),
        ("Granite 4", {"num_local_experts": 4, "num_experts_per_tok": 2}, "num_local_experts is 4"),
        ("Granite 4", {"layer_types": ["attention", *["mamba"] * 4]}, "layer_types is mamba"),
        ("Granite 4", {"position_embedding_type": None}, "position_embedding_type is missing"),
        ("Ministral 3", {"sliding_window": 16}, "sliding_window is 16"),
        ("Qwen3.5", {"layer_types": ["full_attention"] * 5}, "model.layers.0.self_attn"),
        ("Gemma 4 31B", {"enable_moe_block": True}, "Gemma 4 with experts"),
        ("Gemma 4 31B", {"use_bidirectional_attention": "all"}, "is 'all'"),
        ("Gemma 4 E2B", {"num_kv_shared_layers": 1}, "num_kv_shared_layers is 1"),
        ("OLMo 2", {"tie_word_embeddings": True}, "no place for a head that is the embedding"),
    ],
)
def test_what_llama_cpp_would_compute_otherwise_is_refused(
    kind: str, changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    make_model(kind, tmp_path / "model")
    config = transformers.AutoConfig.from_pretrained(tmp_path / "model").to_dict()
    path = tmp_path / "model" / "config.json"
    path.write_text(json.dumps(config | changes))
    recipe = alone(tmp_path / "model")

    def build() -> None:
        Workshop.for_recipe(recipe).gguf(recipe, tmp_path / "m.gguf", quant="F32")

    with pytest.raises(CheckpointError, match=message):
        build()
