"""The architectures that are built in: one row of a table for each.

Tensor lists follow `transformers` (`models/*/modeling_*.py`), what GGUF makes of them llama.cpp's
converter (`conversion/{llama,qwen,gemma,phi}.py`) and its loaders (`src/models/*.cpp`). A family
of another shape than these flags can say is read through a blueprint instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import gguf

Arch = gguf.MODEL_ARCH


@dataclass(frozen=True)
class Weight:
    """A tensor of a layer, and the bias that may go with it.

    Attributes:
        name: Hugging Face name within the layer, without `.weight`.
        sizes: Names of the sizes that make its shape; see `BuiltInLayout.sizes`.
        bias: Name of the biases that it belongs to, `qkv`, `output` or `mlp`; empty where it never
            has one.
    """

    name: str
    sizes: tuple[str, ...]
    bias: str = ""


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
class Family:
    """What an architecture's layers hold and how its tensors are stored.

    Attributes:
        weights: Tensors of a layer, in the order of the file.
        qkv_bias: Whether queries, keys and values have biases; None where `attention_bias` says so.
        output_bias: Whether the output projection follows `attention_bias` too.
        biased: Whether llama.cpp has a place for the biases that `attention_bias` asks for.
        permuted: Whether rows of query and key heads are stored in another order.
        norm_shift: Number that is added to the weights of norms.
        always_tied: Whether llama.cpp knows no head apart from the embedding.
        head_sizes: Whether the head's length is written even where config.json does not name it.
        window_pattern: Number of layers of which the last one attends to everything, the others to
            a window; 0 where llama.cpp has no windows.
        scaled_by_hidden: Number of layers that makes llama.cpp scale attention by the hidden size
            per head instead of the head's length; 0 where it never does.
        defaults: Values that `transformers` takes where a config.json is silent.
    """

    weights: tuple[Weight, ...] = (_INPUT_NORM, *_MATRICES, _POST_NORM)
    qkv_bias: bool | None = None
    output_bias: bool = True
    biased: bool = True
    permuted: bool = False
    norm_shift: float = 0.0
    always_tied: bool = False
    head_sizes: bool = True
    window_pattern: int = 0
    scaled_by_hidden: int = 0
    defaults: Mapping[str, Any] = field(default_factory=dict)


_RMS = {"rms_norm_eps": 1e-6}
_QWEN = _RMS | {"max_position_embeddings": 32768}
_GEMMA = _RMS | {"head_dim": 256, "num_attention_heads": 8, "num_key_value_heads": 4}
_GEMMA |= {"sliding_window": 4096, "query_pre_attn_scalar": 256, "tie_word_embeddings": True}

FAMILIES: dict[gguf.MODEL_ARCH, Family] = {
    Arch.LLAMA: Family(permuted=True, defaults=_RMS | {"max_position_embeddings": 2048}),
    Arch.QWEN2: Family(qkv_bias=True, output_bias=False, head_sizes=False, defaults=_QWEN),
    Arch.QWEN3: Family(
        weights=(_INPUT_NORM, *_MATRICES, *_HEAD_NORMS, _POST_NORM),
        biased=False,
        defaults=_QWEN | {"head_dim": 128},
    ),
    Arch.GEMMA2: Family(
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
    Arch.GEMMA3: Family(
        weights=(_INPUT_NORM, *_MATRICES, *_HEAD_NORMS, _POST_NORM, *_MORE_NORMS),
        biased=False,
        norm_shift=1.0,
        window_pattern=6,
        scaled_by_hidden=62,
        defaults=_GEMMA
        | {"max_position_embeddings": 131072, "rope_theta": 1e6, "rope_local_base_freq": 1e4},
    ),
    Arch.PHI3: Family(
        weights=(_INPUT_NORM, *_FUSED_MATRICES, _POST_NORM),
        biased=False,
        head_sizes=False,
        defaults={"rms_norm_eps": 1e-5, "max_position_embeddings": 4096}
        | {"original_max_position_embeddings": 4096},
    ),
}

ARCHITECTURES: dict[str, gguf.MODEL_ARCH] = {
    "LlamaForCausalLM": Arch.LLAMA,
    "MistralForCausalLM": Arch.LLAMA,
    "Qwen2ForCausalLM": Arch.QWEN2,
    "Qwen3ForCausalLM": Arch.QWEN3,
    "Gemma2ForCausalLM": Arch.GEMMA2,
    "Gemma3ForCausalLM": Arch.GEMMA3,
    "Phi3ForCausalLM": Arch.PHI3,
}
"""GGUF's architecture by the name in `architectures` of a config.json."""


def completed(config: Mapping[str, Any], family: Family) -> dict[str, Any]:
    """Return a config.json with the family's defaults where it is silent or says null.

    A null that `transformers` reads as "none" (soft caps, windows) stays where it is.
    """
    given = {key: value for key, value in config.items() if value is not None or key in _NULLABLE}
    return {**family.defaults, **given}


_NULLABLE = ("attn_logit_softcapping", "final_logit_softcapping", "sliding_window")
