"""The `config.json` that a GGUF's metadata describes: the way back from `gguf_layout`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt

from mergesearch.errors import CheckpointError
from mergesearch.gguf import ROPE_FACTORS, extra_tensors, layout_of
from mergesearch.gguf.families import ARCHITECTURES
from mergesearch.quantize.mix import GGUF_EMBEDDING, GGUF_HEAD

# Mistral's own architecture is stored as Llama's, from which it does not differ.
_ARCHITECTURES = {
    "llama": ("LlamaForCausalLM", "llama"),
    "qwen2": ("Qwen2ForCausalLM", "qwen2"),
    "qwen3": ("Qwen3ForCausalLM", "qwen3"),
    "qwen3moe": ("Qwen3MoeForCausalLM", "qwen3_moe"),
    "gemma2": ("Gemma2ForCausalLM", "gemma2"),
    "gemma3": ("Gemma3ForCausalLM", "gemma3_text"),
    "phi3": ("Phi3ForCausalLM", "phi3"),
    "olmo2": ("Olmo2ForCausalLM", "olmo2"),
    "granite": ("GraniteForCausalLM", "granite"),
    "smollm3": ("SmolLM3ForCausalLM", "smollm3"),
    "glm4": ("Glm4ForCausalLM", "glm4"),
    "mistral3": ("Ministral3ForCausalLM", "ministral3"),
}
_WITH_EXPERTS = {"llama": ("MixtralForCausalLM", "mixtral")}
_WITH_WINDOWS = {"olmo2": ("Olmo3ForCausalLM", "olmo3")}
"""What an architecture is where its metadata name experts, or a window."""

_CAPS = {"final_logit_softcapping": gguf.Keys.LLM.FINAL_LOGIT_SOFTCAPPING}
_NUMBERS = {
    "gemma2": _CAPS | {"attn_logit_softcapping": gguf.Keys.LLM.ATTN_LOGIT_SOFTCAPPING},
    "gemma3": _CAPS | {"rope_local_base_freq": gguf.Keys.Rope.FREQ_BASE_SWA},
}
_WINDOWED = ("gemma2", "gemma3", "phi3")
_TURNED_IN_PART = ("phi3", "glm4")
_SIZES = {
    "num_hidden_layers": gguf.Keys.LLM.BLOCK_COUNT,
    "hidden_size": gguf.Keys.LLM.EMBEDDING_LENGTH,
    "intermediate_size": gguf.Keys.LLM.FEED_FORWARD_LENGTH,
    "max_position_embeddings": gguf.Keys.LLM.CONTEXT_LENGTH,
    "num_attention_heads": gguf.Keys.Attention.HEAD_COUNT,
}
_SPECIAL = {
    "bos_token_id": gguf.Keys.Tokenizer.BOS_ID,
    "eos_token_id": gguf.Keys.Tokenizer.EOS_ID,
    "pad_token_id": gguf.Keys.Tokenizer.PAD_ID,
}
_YARN = {
    "extrapolation_factor": gguf.Keys.Rope.SCALING_YARN_EXT_FACTOR,
    "attention_factor": gguf.Keys.Rope.SCALING_YARN_ATTN_FACTOR,
    "beta_fast": gguf.Keys.Rope.SCALING_YARN_BETA_FAST,
    "beta_slow": gguf.Keys.Rope.SCALING_YARN_BETA_SLOW,
    "mscale": gguf.Keys.Rope.SCALING_YARN_LOG_MUL,
    "mscale_all_dim": gguf.Keys.Rope.SCALING_YARN_LOG_MUL,
    "llama_4_scaling_beta": gguf.Keys.Attention.TEMPERATURE_SCALE,
}
_LOW, _HIGH = 1.0, 4.0
_PUBLISHED_CONTEXT = 8192  # of Llama 3
_CONTEXTS = tuple(1 << power for power in range(6, 21))

Float = npt.NDArray[np.float32]


def config_of_gguf(
    fields: Mapping[str, Any],
    shapes: Mapping[str, tuple[int, ...]],
    factors: Float | None,
    where: Path,
) -> dict[str, Any]:
    """Return the `config.json` of the model in a GGUF.

    Args:
        fields: Metadata by key.
        shapes: Shape of every tensor by its GGUF name; they show biases, head and vocabulary.
        factors: Tensor `rope_freqs.weight`, shape `(head_dim / 2,)`, where there is one.
        where: Path of the file, for messages.

    Raises:
        CheckpointError: An unsupported architecture, a size that is missing, or frequency factors
            that are not those of Llama 3.
    """
    arch = fields.get(gguf.Keys.General.ARCHITECTURE)
    if not isinstance(arch, str) or arch not in _ARCHITECTURES:
        raise CheckpointError(
            f"unsupported architecture {arch!r}", where=where, expected=", ".join(_ARCHITECTURES)
        )
    if len(shapes.get(GGUF_EMBEDDING, ())) != 2:
        raise CheckpointError(f"the matrix {GGUF_EMBEDDING} is missing", where=where)

    def field(key: str) -> Any:
        value = fields.get(key.format(arch=arch))
        if isinstance(value, list) and value and value == value[:1] * len(value):
            return value[0]  # one number for each layer, all of them equal
        return value

    name, model_type = _ARCHITECTURES[arch]
    if field(gguf.Keys.LLM.EXPERT_COUNT):
        name, model_type = _WITH_EXPERTS.get(arch, (name, model_type))
    if field(gguf.Keys.Attention.SLIDING_WINDOW):
        name, model_type = _WITH_WINDOWS.get(arch, (name, model_type))
    config: dict[str, Any] = {
        "architectures": [name],
        "model_type": model_type,
        "hidden_act": "silu",
        "vocab_size": shapes[GGUF_EMBEDDING][0],
        "tie_word_embeddings": GGUF_HEAD not in shapes,
        "attention_bias": "blk.0.attn_q.bias" in shapes,
        "mlp_bias": "blk.0.ffn_up.bias" in shapes,
    }
    config |= {
        key: _whole(field(stored), stored.format(arch=arch), 1, where)
        for key, stored in _SIZES.items()
    }
    if config["num_hidden_layers"] > len(shapes):
        raise CheckpointError(
            f"{config['num_hidden_layers']} layers of {len(shapes)} tensors", where=where
        )
    config |= _experts(name, field, where)
    heads = config["num_attention_heads"]
    config["num_key_value_heads"] = field(gguf.Keys.Attention.HEAD_COUNT_KV) or heads
    config["rms_norm_eps"] = _number(
        field(gguf.Keys.Attention.LAYERNORM_RMS_EPS), gguf.Keys.Attention.LAYERNORM_RMS_EPS, where
    )
    if head_dim := field(gguf.Keys.Attention.KEY_LENGTH):
        config["head_dim"] = head_dim
    for key, stored in _SPECIAL.items():
        if stored in fields:
            config[key] = _whole(fields[stored], stored, 0, where)
    base = field(gguf.Keys.Rope.FREQ_BASE)
    config["rope_theta"] = 10000.0 if base is None else _number(base, "rope.freq_base", where)
    if scaling := _rope_scaling(field, where):
        config["rope_scaling"] = scaling
    if factors is not None:
        config["rope_scaling"] = _llama3_scaling(config, factors, where)
    return config | _own_settings(arch, field, config, where)


def _own_settings(arch: str, field: Any, config: Mapping[str, Any], where: Path) -> dict[str, Any]:
    """What only some architectures have: windows, soft caps, scales, partial rotary positions."""
    family = layout_of(config, where).family
    own: dict[str, Any] = {
        key: _number(field(stored), stored.format(arch=arch), where)
        for key, stored in (_NUMBERS.get(arch, {}) | {**family.numbers}).items()
        if field(stored) is not None
    }
    if arch in _WINDOWED:
        own["sliding_window"] = field(gguf.Keys.Attention.SLIDING_WINDOW) or None
    if config["model_type"] == "olmo3":
        own["sliding_window"] = field(gguf.Keys.Attention.SLIDING_WINDOW)
        windows = field(gguf.Keys.Attention.SLIDING_WINDOW_PATTERN)
        kinds = {True: "sliding_attention", False: "full_attention"}
        if isinstance(windows, list) and set(windows) <= {True, False}:
            own["layer_types"] = [kinds[windowed] for windowed in windows]
    per_head = config["hidden_size"] // config["num_attention_heads"]
    if family.scaled_by_hidden:
        large = config["num_hidden_layers"] == family.scaled_by_hidden
        own["query_pre_attn_scalar"] = per_head if large else config.get("head_dim", per_head)
        own["hidden_activation"] = "gelu_pytorch_tanh"
    if arch == "phi3":
        key = gguf.Keys.Rope.SCALING_ORIG_CTX_LEN
        own["original_max_position_embeddings"] = _whole(field(key), key, 1, where)
    if arch in _TURNED_IN_PART:
        turned = _whole(field(gguf.Keys.Rope.DIMENSION_COUNT), "rope.dimension_count", 1, where)
        own["partial_rotary_factor"] = turned / config.get("head_dim", per_head)
    return own


def _experts(name: str, field: Any, where: Path) -> dict[str, Any]:
    """How many experts there are and are used, and how wide they are."""
    experts = ARCHITECTURES[name].experts
    if experts is None:
        return {}
    count, used = gguf.Keys.LLM.EXPERT_COUNT, gguf.Keys.LLM.EXPERT_USED_COUNT
    found = {
        experts.counts[-1 if name.startswith("Qwen") else 0]: _whole(field(count), count, 1, where),
        "num_experts_per_tok": _whole(field(used), used, 1, where),
    }
    width = field(gguf.Keys.LLM.EXPERT_FEED_FORWARD_LENGTH)
    if width is not None:
        found[experts.inner] = width
    return found | {
        key: value for key, value in ARCHITECTURES[name].fixed.items() if isinstance(value, bool)
    }


def _whole(value: Any, key: str, smallest: int, where: Path) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < smallest:
        raise CheckpointError(
            f"{key} is {value!r}", where=where, expected=f"a whole number from {smallest}"
        )
    return value


def _number(value: Any, key: str, where: Path) -> float:
    """The shortest decimal that is stored as this float32: 1e-06, not 9.99999997e-07."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise CheckpointError(f"{key} is {value!r}", where=where, expected="a number above 0")
    return float(str(np.float32(value)))


def _rope_scaling(field: Any, where: Path) -> dict[str, Any]:
    """Linear or YaRN scaling as a `config.json` writes it, empty where there is none."""
    kind = field(gguf.Keys.Rope.SCALING_TYPE)
    if kind in (None, "none"):
        return {}
    if kind not in ("linear", "yarn"):
        raise CheckpointError(f"rope scaling {kind!r}", where=where, expected="linear or yarn")
    factor = _number(field(gguf.Keys.Rope.SCALING_FACTOR), "rope.scaling.factor", where)
    scaling: dict[str, Any] = {"rope_type": kind, "factor": factor}
    key = gguf.Keys.Rope.SCALING_ORIG_CTX_LEN
    if field(key) is not None:
        scaling["original_max_position_embeddings"] = _whole(field(key), key, 1, where)
    for key, stored in _YARN.items():
        if field(stored) is not None:
            scaling[key] = _number(field(stored), stored, where)
    return scaling


def _llama3_scaling(config: Mapping[str, Any], factors: Float, where: Path) -> dict[str, Any]:
    """The settings of Llama 3's rope scaling that give these factors.

    The largest factor is the scaling's; the two bounds are always published as 1 and 4, so that
    only the original context length is searched for.
    """
    layout = layout_of(config, where)
    fits = factors.size * 2 == layout.head_dim
    for scaling in _llama3_candidates(float(factors.max())) if fits else ():
        tried = {**config, "rope_scaling": scaling}
        found = extra_tensors(layout, tried).get(ROPE_FACTORS)
        if found is not None and np.allclose(found, factors, rtol=1e-5, atol=0.0):
            return scaling
    raise CheckpointError(
        "rope_freqs.weight holds frequency factors that are not those of Llama 3",
        where=where,
        expected=f"bounds {_LOW:g} and {_HIGH:g}, and an original context of a power of two",
    )


def _llama3_candidates(largest: float) -> Iterator[dict[str, Any]]:
    for original in (_PUBLISHED_CONTEXT, *_CONTEXTS):
        yield {
            "rope_type": "llama3",
            "factor": largest,
            "low_freq_factor": _LOW,
            "high_freq_factor": _HIGH,
            "original_max_position_embeddings": original,
        }
