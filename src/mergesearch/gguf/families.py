"""The architectures that are built in: one row of a table for each.

Tensor lists follow `transformers` (`models/*/modeling_*.py`), what GGUF makes of them llama.cpp's
converter (`conversion/{llama,qwen,gemma,phi,olmo,granite,glm}.py`) and its loaders
(`src/models/*.cpp`); GGUF's names come from the `gguf` package. A family of another shape than
these flags can say is read through a blueprint instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import gguf

from mergesearch.gguf import gemma4

Arch = gguf.MODEL_ARCH


@dataclass(frozen=True)
class Weight:
    """A tensor of a layer, and the bias that may go with it.

    Attributes:
        name: Hugging Face name within the layer, without `.weight`; it holds `{expert}` where each
            expert has one.
        sizes: Names of the sizes that make its shape; see `BuiltInLayout.sizes`.
        bias: Name of the biases that it belongs to, `qkv`, `output` or `mlp`; empty where it never
            has one.
        parts: Names of the tensors that GGUF makes of equal parts of its rows; empty where it stays
            one.
        bare: Whether its name ends without `.weight`.
        values: Where the heads of values of linear attention are: in its last `rows`, or in its
            `columns`; empty where it has none.
    """

    name: str
    sizes: tuple[str, ...]
    bias: str = ""
    parts: tuple[str, ...] = ()
    bare: bool = False
    values: str = ""


EXPERT = "{expert}"
"""Stands for the number of an expert in the name of a weight."""


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
_FUSED_MATRICES = (
    Weight("self_attn.qkv_proj", ("queries + 2 keys", "hidden"), "qkv"),
    _OUTPUT,
    Weight("mlp.gate_up_proj", ("2 inner", "hidden"), "mlp"),
    _DOWN,
)


@dataclass(frozen=True)
class Experts:
    """Where a config.json says how many experts a layer has.

    Attributes:
        inner: Key of the elements between an expert's projections.
        counts: Keys of the number of experts, as old and new versions of `transformers` write it.
    """

    inner: str
    counts: tuple[str, ...] = ("num_local_experts", "num_experts")


@dataclass(frozen=True)
class Family:
    """What an architecture's layers hold and how its tensors are stored.

    Attributes:
        arch: GGUF's architecture.
        weights: Tensors of a layer, in the order of the file.
        kinds: Tensors of a layer by its kind: the two of `layer_types` first, the one with a window
            or linear attention before the one that attends to everything; empty where all have the
            same.
        beside: Tensors outside the layers, beside embedding, last norm and head. A tensor of a
            family of which a size is 0 is not there.
        shares_keys: Whether heads differ by the kind of a layer, and the last layers may share keys
            and values (Gemma 4).
        qkv_bias: Whether queries, keys and values have biases; None where `attention_bias` says so.
        output_bias: Whether the output projection follows `attention_bias` too.
        biased: Whether llama.cpp has a place for the biases that `attention_bias` asks for.
        permuted: Whether rows of query and key heads are stored in another order.
        norm_shift: Number that is added to the weights of norms.
        always_tied: Whether llama.cpp knows no head apart from the embedding.
        always_apart: Whether llama.cpp needs a head apart from the embedding.
        unrotated_every: Number of layers of which the last one knows no positions; 0 for none.
        head_sizes: Whether the head's length is written even where config.json does not name it.
        window_pattern: Number of layers of which the last one attends to everything, the others to
            a window; 0 where llama.cpp has no windows.
        scaled_by_hidden: Number of layers that makes llama.cpp scale attention by the hidden size
            per head instead of the head's length; 0 where it never does.
        experts: Where the number of experts is said; None where the feed-forward part is dense.
        inner: Key of the elements between the projections of a dense feed-forward part.
        activation: Key of the activation in a config.json, and the names that it may have there.
        spaced_tokenizer: GGUF's kind of a tokenizer in which spaces are letters and bytes tokens.
        numbers: GGUF's key of numbers that a config.json may set, by the key there.
        fixed: Settings that llama.cpp computes with whatever the config.json says.
        defaults: Values that `transformers` takes where a config.json is silent.
    """

    arch: gguf.MODEL_ARCH
    weights: tuple[Weight, ...] = (_INPUT_NORM, *_MATRICES, _POST_NORM)
    kinds: Mapping[str, tuple[Weight, ...]] = field(default_factory=dict)
    beside: tuple[Weight, ...] = ()
    shares_keys: bool = False
    qkv_bias: bool | None = None
    output_bias: bool = True
    biased: bool = True
    permuted: bool = False
    norm_shift: float = 0.0
    always_tied: bool = False
    always_apart: bool = False
    unrotated_every: int = 0
    head_sizes: bool = True
    window_pattern: int = 0
    scaled_by_hidden: int = 0
    experts: Experts | None = None
    inner: str = "intermediate_size"
    activation: tuple[str, ...] = ("hidden_act", "silu", "swish")
    spaced_tokenizer: str = "llama"
    numbers: Mapping[str, str] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)


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
_GELU = ("hidden_activation", "gelu_pytorch_tanh", "gelu_new", "gelu_fast")
_GEMMA |= {"sliding_window": 4096, "query_pre_attn_scalar": 256, "tie_word_embeddings": True}

_LLAMA = Family(Arch.LLAMA, permuted=True, defaults=_RMS | {"max_position_embeddings": 2048})
_QWEN3 = Family(
    Arch.QWEN3,
    weights=(_INPUT_NORM, *_MATRICES, *_HEAD_NORMS, _POST_NORM),
    biased=False,
    defaults=_QWEN | {"head_dim": 128},
)

_OLMO2 = Family(
    Arch.OLMO2,
    weights=(*_ATTENTION, *_WIDE_HEAD_NORMS, *_DENSE, _POST_NORM, _MORE_NORMS[1]),
    biased=False,
    head_sizes=False,
    always_apart=True,
    defaults={"rms_norm_eps": 1e-5, "max_position_embeddings": 2048},
)
_GRANITE = Family(
    Arch.GRANITE,
    permuted=True,
    head_sizes=False,
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
    "MistralForCausalLM": _LLAMA,
    "MixtralForCausalLM": replace(
        _LLAMA,
        weights=(_INPUT_NORM, *_ATTENTION, *_MIXED, _POST_NORM),
        biased=False,
        head_sizes=False,
        experts=Experts("intermediate_size"),
        defaults={"rms_norm_eps": 1e-5, "max_position_embeddings": 131072, "rope_theta": 1e6}
        | {"num_experts_per_tok": 2},
    ),
    "Qwen2ForCausalLM": Family(
        Arch.QWEN2, qkv_bias=True, output_bias=False, head_sizes=False, defaults=_QWEN
    ),
    "Qwen3ForCausalLM": _QWEN3,
    "Qwen3_5ForCausalLM": Family(
        Arch.QWEN35,
        kinds={
            "linear_attention": (_INPUT_NORM, *_LINEAR_ATTENTION, *_DENSE, _POST_NORM),
            "full_attention": (_INPUT_NORM, *_GATED_ATTENTION, *_DENSE, _POST_NORM),
        },
        biased=False,
        norm_shift=1.0,
        window_pattern=4,
        defaults=_QWEN
        | {"head_dim": 256, "partial_rotary_factor": 0.25, "full_attention_interval": 4}
        | {"linear_num_key_heads": 16, "linear_num_value_heads": 32, "linear_conv_kernel_dim": 4}
        | {"linear_key_head_dim": 128, "linear_value_head_dim": 128},
    ),
    "Qwen3MoeForCausalLM": replace(
        _QWEN3,
        arch=Arch.QWEN3MOE,
        weights=(_INPUT_NORM, *_ATTENTION, *_HEAD_NORMS, *_ROUTED, _POST_NORM),
        head_sizes=False,
        experts=Experts("moe_intermediate_size"),
        fixed={"norm_topk_prob": True, "mlp_only_layers": [], "decoder_sparse_step": 1},
        defaults=_QWEN
        | {"num_experts_per_tok": 8, "moe_intermediate_size": 768}
        | {"norm_topk_prob": False, "mlp_only_layers": [], "decoder_sparse_step": 1},
    ),
    "Gemma2ForCausalLM": Family(
        Arch.GEMMA2,
        activation=_GELU,
        weights=(_INPUT_NORM, *_MATRICES, _POST_NORM, *_MORE_NORMS),
        biased=False,
        norm_shift=1.0,
        always_tied=True,
        window_pattern=2,
        scaled_by_hidden=46,
        defaults=_GEMMA
        | {"max_position_embeddings": 8192}
        | {"attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0},
    ),
    "Gemma3ForCausalLM": Family(
        Arch.GEMMA3,
        activation=_GELU,
        weights=(_INPUT_NORM, *_MATRICES, *_HEAD_NORMS, _POST_NORM, *_MORE_NORMS),
        biased=False,
        norm_shift=1.0,
        window_pattern=6,
        scaled_by_hidden=62,
        defaults=_GEMMA
        | {"max_position_embeddings": 131072, "rope_theta": 1e6, "rope_local_base_freq": 1e4},
    ),
    gemma4.ARCHITECTURE: Family(
        Arch.GEMMA4,
        activation=_GELU,
        kinds=dict.fromkeys(gemma4.KINDS, _GEMMA4_LAYER),
        beside=_LAYER_INPUTS,
        shares_keys=True,
        biased=False,
        window_pattern=6,
        spaced_tokenizer="gemma4",
        defaults=gemma4.DEFAULTS,
    ),
    "Phi3ForCausalLM": Family(
        Arch.PHI3,
        weights=(_INPUT_NORM, *_FUSED_MATRICES, _POST_NORM),
        biased=False,
        head_sizes=False,
        defaults={"rms_norm_eps": 1e-5, "max_position_embeddings": 4096}
        | {"original_max_position_embeddings": 4096},
    ),
    "Olmo2ForCausalLM": _OLMO2,
    "Olmo3ForCausalLM": replace(
        _OLMO2, window_pattern=4, defaults={**_OLMO2.defaults, "sliding_window": 4096}
    ),
    "GraniteForCausalLM": _GRANITE,
    "GraniteMoeHybridForCausalLM": replace(
        _GRANITE,
        weights=(_INPUT_NORM, *_ATTENTION, *_SHARED_EXPERT, _POST_NORM),
        inner="shared_intermediate_size",
        fixed={"num_local_experts": 0, "position_embedding_type": "rope"},
        defaults={**_GRANITE.defaults, "num_local_experts": 8, "position_embedding_type": None}
        | {"shared_intermediate_size": 1024},
    ),
    "Ministral3ForCausalLM": replace(
        _LLAMA,
        arch=Arch.MISTRAL3,
        biased=False,
        defaults={"rms_norm_eps": 1e-5, "max_position_embeddings": 262144, "head_dim": 128},
    ),
    "SmolLM3ForCausalLM": Family(
        Arch.SMOLLM3,
        permuted=True,
        biased=False,
        head_sizes=False,
        unrotated_every=4,
        defaults=_RMS
        | {"max_position_embeddings": 32768, "rope_theta": 2e6, "tie_word_embeddings": True},
    ),
    "Glm4ForCausalLM": Family(
        Arch.GLM4,
        weights=(
            _INPUT_NORM,
            *_ATTENTION,
            *_FUSED_MATRICES[2:],
            _POST_NORM,
            _norm("post_self_attn_layernorm"),
            _norm("post_mlp_layernorm"),
        ),
        output_bias=False,
        defaults={"rms_norm_eps": 1.5625e-07, "max_position_embeddings": 131072, "head_dim": 128}
        | {"partial_rotary_factor": 0.5},
    ),
}
"""Families by the name in `architectures` of a config.json."""


def completed(config: Mapping[str, Any], family: Family) -> dict[str, Any]:
    """Return a config.json with the family's defaults where it is silent or says null.

    A null that `transformers` reads as "none" (soft caps, windows, ...) stays where it is.
    """
    given = {key: value for key, value in config.items() if value is not None or key in _NULLABLE}
    return {**family.defaults, **given}


_NULLABLE = (
    *("attn_logit_softcapping", "final_logit_softcapping", "sliding_window"),
    "hidden_size_per_layer_input",
)
