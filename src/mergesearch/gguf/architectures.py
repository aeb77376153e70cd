"""The architectures that are built in, one row of a table for each, and what the others do.

Tensor lists follow `transformers` (`models/*/modeling_*.py`), what GGUF makes of them llama.cpp's
converter (`conversion/{llama,qwen,gemma,phi,olmo,granite,glm}.py`) and its loaders
(`src/models/*.cpp`); GGUF's names come from the `gguf` package. An architecture of another shape
than a `Family` can say is read through a blueprint instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gguf

from mergesearch._system.documents import shown
from mergesearch.errors import CheckpointError
from mergesearch.gguf import gemma4, own_metadata
from mergesearch.gguf.family import EXPERT, ROPE_TYPES, Experts, Family, Weight

Arch = gguf.MODEL_ARCH


def _norm(name: str) -> Weight:
    return Weight(name, ("hidden",))


_INPUT_NORM, _POST_NORM = _norm("input_layernorm"), _norm("post_attention_layernorm")
_MORE_NORMS = (_norm("pre_feedforward_layernorm"), _norm("post_feedforward_layernorm"))
_HEAD_NORMS = (Weight("self_attn.q_norm", ("head",)), Weight("self_attn.k_norm", ("head",)))
_OUTPUT = Weight("self_attn.o_proj", ("hidden", "queries"), "output")
_DOWN = Weight("mlp.down_proj", ("hidden", "inner"), "mlp")
_MATRICES = (
    Weight("self_attn.q_proj", ("queries", "hidden"), "qkv"),
    Weight("self_attn.k_proj", ("keys", "hidden"), "qkv"),
    Weight("self_attn.v_proj", ("keys", "hidden"), "qkv"),
    _OUTPUT,
    Weight("mlp.gate_proj", ("inner", "hidden"), "mlp"),
    Weight("mlp.up_proj", ("inner", "hidden"), "mlp"),
    _DOWN,
)
_PLAIN_LAYER = (_INPUT_NORM, *_MATRICES, _POST_NORM)
_FUSED_MATRICES = (
    Weight("self_attn.qkv_proj", ("queries + 2 keys", "hidden"), "qkv"),
    _OUTPUT,
    Weight("mlp.gate_up_proj", ("2 inner", "hidden"), "mlp"),
    _DOWN,
)

_INWARD, _OUTWARD = ("expert inner", "hidden"), ("hidden", "expert inner")


def _experts(block: str, projections: Mapping[str, tuple[str, str]]) -> tuple[Weight, ...]:
    """A router and every expert's projections, by their names in the order of the file."""
    return (
        Weight(f"{block}.gate", ("experts", "hidden")),
        *(Weight(f"{block}.experts.{EXPERT}.{name}", sizes) for name, sizes in projections.items()),
    )


_ROUTED = _experts("mlp", {"gate_proj": _INWARD, "up_proj": _INWARD, "down_proj": _OUTWARD})
_MIXED = _experts("block_sparse_moe", {"w1": _INWARD, "w2": _OUTWARD, "w3": _INWARD})
_ATTENTION, _DENSE = _MATRICES[:4], _MATRICES[4:]
_WIDE_HEAD_NORMS = (Weight("self_attn.q_norm", ("queries",)), Weight("self_attn.k_norm", ("keys",)))

_GATED_ATTENTION = (
    Weight("self_attn.q_proj", ("2 queries", "hidden")),
    *_ATTENTION[1:],
    *_HEAD_NORMS,
)
_LINEAR_ATTENTION = (
    Weight("linear_attn.in_proj_qkv", ("linear qkv", "hidden"), values="rows"),
    Weight("linear_attn.in_proj_z", ("linear values", "hidden"), values="rows"),
    Weight("linear_attn.in_proj_b", ("linear heads", "hidden"), values="rows"),
    Weight("linear_attn.in_proj_a", ("linear heads", "hidden"), values="rows"),
    Weight("linear_attn.conv1d", ("linear qkv", "one", "kernel"), values="rows"),
    Weight("linear_attn.A_log", ("linear heads",), bare=True, values="rows"),
    Weight(
        "linear_attn.dt_bias",
        ("linear heads",),
        parts=("linear_attn.dt_proj.bias",),
        bare=True,
        values="rows",
    ),
    Weight("linear_attn.norm", ("linear head",)),
    Weight("linear_attn.out_proj", ("hidden", "linear values"), values="columns"),
)

_GEMMA4_LAYER = (
    _INPUT_NORM,
    *_ATTENTION[:2],
    Weight("self_attn.v_proj", ("values", "hidden")),
    _OUTPUT,
    _HEAD_NORMS[0],
    Weight("self_attn.k_norm", ("key head",)),
    *_DENSE,
    _POST_NORM,
    *_MORE_NORMS,
    Weight("layer_scalar", ("one",), parts=("layer_scalar.weight",), bare=True),
    Weight("per_layer_input_gate", ("layer input", "hidden")),
    Weight("per_layer_projection", ("hidden", "layer input")),
    Weight("post_per_layer_input_norm", ("hidden with layer inputs",)),
)
_LAYER_INPUTS = (
    Weight("embed_tokens_per_layer", ("layer input tokens", "layer inputs")),
    Weight("per_layer_model_projection", ("layer inputs", "hidden")),
    Weight("per_layer_projection_norm", ("layer input",)),
)

_RMS = {"rms_norm_eps": 1e-6}
_QWEN = _RMS | {"max_position_embeddings": 32768}
_GEMMA = _RMS | {"head_dim": 256, "num_attention_heads": 8, "num_key_value_heads": 4}
_CAPS = {"final_logit_softcapping": gguf.Keys.LLM.FINAL_LOGIT_SOFTCAPPING}
_GELU = ("hidden_activation", "gelu_pytorch_tanh", "gelu_new", "gelu_fast")
_GEMMA |= {"sliding_window": 4096, "query_pre_attn_scalar": 256, "tie_word_embeddings": True}

_LLAMA = Family(
    Arch.LLAMA,
    "llama",
    _PLAIN_LAYER,
    permuted=True,
    rope_types=(*ROPE_TYPES, "llama3"),
    add_keys=own_metadata.add_llama,
    defaults=_RMS | {"max_position_embeddings": 2048},
)
_QWEN3 = Family(
    Arch.QWEN3,
    "qwen3",
    weights=(_INPUT_NORM, *_MATRICES, *_HEAD_NORMS, _POST_NORM),
    biased=False,
    defaults=_QWEN | {"head_dim": 128},
)

_OLMO2 = Family(
    Arch.OLMO2,
    "olmo2",
    weights=(*_ATTENTION, *_WIDE_HEAD_NORMS, *_DENSE, _POST_NORM, _MORE_NORMS[1]),
    biased=False,
    head_sizes=False,
    always_apart=True,
    defaults={"rms_norm_eps": 1e-5, "max_position_embeddings": 2048},
)
_GRANITE = Family(
    Arch.GRANITE,
    "granite",
    _PLAIN_LAYER,
    permuted=True,
    head_sizes=False,
    rope_types=_LLAMA.rope_types,
    add_keys=own_metadata.add_granite,
    numbers={
        "attention_multiplier": gguf.Keys.Attention.SCALE,
        "embedding_multiplier": gguf.Keys.LLM.EMBEDDING_SCALE,
        "residual_multiplier": gguf.Keys.LLM.RESIDUAL_SCALE,
        "logits_scaling": gguf.Keys.LLM.LOGIT_SCALE,
    },
    defaults=_RMS
    | {"max_position_embeddings": 2048, "attention_multiplier": 1.0, "logits_scaling": 1.0}
    | {"embedding_multiplier": 1.0, "residual_multiplier": 1.0},
)
_SHARED_EXPERT = (
    Weight("shared_mlp.input_linear", ("2 inner", "hidden"), "", ("mlp.gate_proj", "mlp.up_proj")),
    Weight("shared_mlp.output_linear", ("hidden", "inner"), "", ("mlp.down_proj",)),
)

ARCHITECTURES: dict[str, Family] = {
    "LlamaForCausalLM": _LLAMA,
    "MistralForCausalLM": replace(_LLAMA, model_type="mistral"),
    "MixtralForCausalLM": replace(
        _LLAMA,
        model_type="mixtral",
        weights=(_INPUT_NORM, *_ATTENTION, *_MIXED, _POST_NORM),
        biased=False,
        head_sizes=False,
        experts=Experts("intermediate_size"),
        defaults={"rms_norm_eps": 1e-5, "max_position_embeddings": 131072, "rope_theta": 1e6}
        | {"num_experts_per_tok": 2},
    ),
    "Qwen2ForCausalLM": Family(
        Arch.QWEN2,
        "qwen2",
        _PLAIN_LAYER,
        qkv_bias=True,
        output_bias=False,
        head_sizes=False,
        defaults=_QWEN,
    ),
    "Qwen3ForCausalLM": _QWEN3,
    "Qwen3_5ForCausalLM": Family(
        Arch.QWEN35,
        "qwen3_5_text",
        kinds={
            "linear_attention": (_INPUT_NORM, *_LINEAR_ATTENTION, *_DENSE, _POST_NORM),
            "full_attention": (_INPUT_NORM, *_GATED_ATTENTION, *_DENSE, _POST_NORM),
        },
        biased=False,
        norm_shift=1.0,
        window_pattern=4,
        add_keys=own_metadata.add_qwen35,
        settings=own_metadata.qwen35_settings,
        defaults=_QWEN
        | {"head_dim": 256, "partial_rotary_factor": 0.25, "full_attention_interval": 4}
        | {"linear_num_key_heads": 16, "linear_num_value_heads": 32, "linear_conv_kernel_dim": 4}
        | {"linear_key_head_dim": 128, "linear_value_head_dim": 128},
    ),
    "Qwen3MoeForCausalLM": replace(
        _QWEN3,
        arch=Arch.QWEN3MOE,
        model_type="qwen3_moe",
        weights=(_INPUT_NORM, *_ATTENTION, *_HEAD_NORMS, *_ROUTED, _POST_NORM),
        head_sizes=False,
        experts=Experts("moe_intermediate_size", ("num_experts", "num_local_experts")),
        add_keys=own_metadata.add_qwen3_moe,
        fixed={"norm_topk_prob": True, "mlp_only_layers": [], "decoder_sparse_step": 1},
        defaults=_QWEN
        | {"num_experts_per_tok": 8, "moe_intermediate_size": 768}
        | {"norm_topk_prob": False, "mlp_only_layers": [], "decoder_sparse_step": 1},
    ),
    "Gemma2ForCausalLM": Family(
        Arch.GEMMA2,
        "gemma2",
        activation=_GELU,
        weights=(_INPUT_NORM, *_MATRICES, _POST_NORM, *_MORE_NORMS),
        biased=False,
        norm_shift=1.0,
        always_tied=True,
        window_pattern=2,
        scaled_by_hidden=46,
        rope_keys=False,
        numbers=_CAPS | {"attn_logit_softcapping": gguf.Keys.LLM.ATTN_LOGIT_SOFTCAPPING},
        add_keys=own_metadata.add_gemma2,
        settings=own_metadata.gemma_settings,
        defaults=_GEMMA
        | {"max_position_embeddings": 8192}
        | {"attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0},
    ),
    "Gemma3ForCausalLM": Family(
        Arch.GEMMA3,
        "gemma3_text",
        activation=_GELU,
        weights=(_INPUT_NORM, *_MATRICES, *_HEAD_NORMS, _POST_NORM, *_MORE_NORMS),
        biased=False,
        norm_shift=1.0,
        window_pattern=6,
        scaled_by_hidden=62,
        numbers=_CAPS | {"rope_local_base_freq": gguf.Keys.Rope.FREQ_BASE_SWA},
        add_keys=own_metadata.add_gemma3,
        settings=own_metadata.gemma_settings,
        defaults=_GEMMA
        | {"max_position_embeddings": 131072, "rope_theta": 1e6, "rope_local_base_freq": 1e4},
    ),
    gemma4.ARCHITECTURE: Family(
        Arch.GEMMA4,
        "gemma4_text",
        activation=_GELU,
        kinds=dict.fromkeys(gemma4.KINDS, _GEMMA4_LAYER),
        beside=_LAYER_INPUTS,
        shares_keys=True,
        biased=False,
        window_pattern=6,
        spaced_tokenizer="gemma4",
        rope_types=("proportional",),
        add_keys=own_metadata.add_gemma4,
        defaults=gemma4.DEFAULTS,
    ),
    "Phi3ForCausalLM": Family(
        Arch.PHI3,
        "phi3",
        weights=(_INPUT_NORM, *_FUSED_MATRICES, _POST_NORM),
        biased=False,
        head_sizes=False,
        rope_keys=False,
        rope_types=("default", "longrope", "su", "yarn"),
        add_keys=own_metadata.add_phi3,
        settings=own_metadata.phi3_settings,
        defaults={"rms_norm_eps": 1e-5, "max_position_embeddings": 4096}
        | {"original_max_position_embeddings": 4096},
    ),
    "Olmo2ForCausalLM": _OLMO2,
    "Olmo3ForCausalLM": replace(
        _OLMO2,
        model_type="olmo3",
        window_pattern=4,
        add_keys=own_metadata.add_olmo3,
        settings=own_metadata.olmo3_settings,
        defaults={**_OLMO2.defaults, "sliding_window": 4096},
    ),
    "GraniteForCausalLM": _GRANITE,
    "GraniteMoeHybridForCausalLM": replace(
        _GRANITE,
        model_type="granitemoehybrid",
        weights=(_INPUT_NORM, *_ATTENTION, *_SHARED_EXPERT, _POST_NORM),
        inner="shared_intermediate_size",
        fixed={"num_local_experts": 0, "position_embedding_type": "rope"},
        defaults={**_GRANITE.defaults, "num_local_experts": 8, "position_embedding_type": None}
        | {"shared_intermediate_size": 1024},
    ),
    "Ministral3ForCausalLM": replace(
        _LLAMA,
        arch=Arch.MISTRAL3,
        model_type="ministral3",
        biased=False,
        rope_types=ROPE_TYPES,
        add_keys=own_metadata.add_mistral3,
        defaults={"rms_norm_eps": 1e-5, "max_position_embeddings": 262144, "head_dim": 128},
    ),
    "SmolLM3ForCausalLM": Family(
        Arch.SMOLLM3,
        "smollm3",
        _PLAIN_LAYER,
        permuted=True,
        biased=False,
        head_sizes=False,
        unrotated_every=4,
        rope_types=_LLAMA.rope_types,
        add_keys=own_metadata.add_smollm3,
        defaults=_RMS
        | {"max_position_embeddings": 32768, "rope_theta": 2e6, "tie_word_embeddings": True},
    ),
    "Glm4ForCausalLM": Family(
        Arch.GLM4,
        "glm4",
        weights=(
            _INPUT_NORM,
            *_ATTENTION,
            *_FUSED_MATRICES[2:],
            _POST_NORM,
            _norm("post_self_attn_layernorm"),
            _norm("post_mlp_layernorm"),
        ),
        output_bias=False,
        add_keys=own_metadata.add_glm4,
        settings=own_metadata.turned_part,
        defaults={"rms_norm_eps": 1.5625e-07, "max_position_embeddings": 131072, "head_dim": 128}
        | {"partial_rotary_factor": 0.5},
    ),
}
"""Families by the name in `architectures` of a config.json.

Of several with one `arch` a GGUF is that of the first, where experts and windows do not tell.
"""


def unsupported(
    name: Any, where: str | Path, supported: Iterable[str], fix: str | None = None
) -> CheckpointError:
    """Return the error about a model whose architecture is not built in, or is not named.

    Args:
        name: Name of the architecture; None where there is none.
    """
    what = "names no architecture" if name is None else f"unsupported architecture {shown(name)}"
    return CheckpointError(what, where=where, expected=", ".join(supported), fix=fix)


_ENCODERS = (
    *("bert", "modern-bert", "nomic-bert", "nomic-bert-moe", "neo-bert", "eurobert"),
    *("jina-bert-v2", "jina-bert-v3", "gemma-embedding", "llama-embed"),
)
_NOT_GOING_ON = (
    dict.fromkeys(_ENCODERS, "makes embeddings")
    | dict.fromkeys(("t5", "t5encoder"), "encodes before it writes")
    | dict.fromkeys(("dream", "llada", "llada-moe", "rnd1"), "writes in any order")
    | {"clip": "reads images", "mmproj": "reads images", "wavtokenizer-dec": "makes sounds"}
)
"""GGUF's names of architectures that do not write one token after the other -> what they do."""


@dataclass(frozen=True)
class KnownArchitectures:
    """What can be done with the architectures that the `gguf` package names.

    Attributes:
        built_in: GGUF's name of each architecture that is built in, by Hugging Face's.
        with_template: GGUF's names of those that `--template` can serve.
        neither: GGUF's names of those that do not write one token after the other, with what they
            do.
    """

    built_in: dict[str, str]
    with_template: list[str]
    neither: dict[str, str]


def known_architectures() -> KnownArchitectures:
    """Return what can be done with every architecture that the `gguf` package names."""
    built_in = {name: gguf.MODEL_ARCH_NAMES[family.arch] for name, family in ARCHITECTURES.items()}
    others = sorted(set(gguf.MODEL_ARCH_NAMES.values()) - set(built_in.values()))
    neither = {name: _NOT_GOING_ON[name] for name in others if name in _NOT_GOING_ON}
    return KnownArchitectures(built_in, [name for name in others if name not in neither], neither)
