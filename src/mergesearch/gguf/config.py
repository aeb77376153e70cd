"""The `config.json` that a GGUF's metadata describes: the way back from `metadata`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np

from mergesearch._kernels.stored import Float
from mergesearch._system.documents import shown
from mergesearch.errors import CheckpointError
from mergesearch.gguf import gemma4
from mergesearch.gguf.architectures import ARCHITECTURES, unsupported
from mergesearch.gguf.family import Family
from mergesearch.gguf.fields import Fields
from mergesearch.gguf.from_config import layout_of
from mergesearch.gguf.rope import (
    LONG_FACTORS,
    ROPE_FACTORS,
    SHORT_FACTORS,
    extra_tensors,
    longrope_factor,
)
from mergesearch.quantize.mix import GGUF_EMBEDDING, GGUF_HEAD

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
_PUBLISHED_CONTEXT = 8192  # original context of Llama 3
_CONTEXTS = tuple(1 << power for power in range(6, 21))


def config_of_gguf(
    fields: Fields,
    shapes: Mapping[str, tuple[int, ...]],
    constants: Mapping[str, Float],
) -> dict[str, Any]:
    """Return the `config.json` of the model in a GGUF.

    Args:
        shapes: Shape of every tensor by its GGUF name: they show biases, head and vocabulary.
        constants: Vectors with factors of rotary positions, shape `(head_dim / 2,)` or less, by
            their names (`rope.CONSTANTS`).

    Raises:
        CheckpointError: The architecture is not supported, a size is missing, or rotary positions
            have factors that no config.json gives.
    """
    where = fields.where
    name = _architecture(fields)
    family = ARCHITECTURES[name]
    if len(shapes.get(GGUF_EMBEDDING, ())) != 2:
        raise CheckpointError(f"the matrix {GGUF_EMBEDDING} is missing", where=where)
    long = {LONG_FACTORS, SHORT_FACTORS} & set(constants)
    if long and ("longrope" not in family.rope_types or len(long) < 2):
        raise CheckpointError(
            f"unknown tensor {min(long)}", where=where, expected="both, in a Phi-3, or none"
        )
    if family.shares_keys:
        config = _common_settings(name, gemma4.fields_of_windows(fields), shapes)
        return config | gemma4.own_settings(fields, shapes, constants.get(ROPE_FACTORS))
    config = _common_settings(name, fields, shapes)
    config |= _experts(family, fields)
    base = gguf.Keys.Rope.FREQ_BASE
    config["rope_theta"] = 10000.0 if fields.get(base) is None else fields.number(base)
    if scaling := _rope_scaling(fields):
        config["rope_scaling"] = scaling
    if ROPE_FACTORS in constants:
        config["rope_scaling"] = _llama3_scaling(config, constants[ROPE_FACTORS], where)
    config |= fields.numbers(family.numbers)
    if family.settings is not None:
        config |= family.settings(fields, config, family)
    if long:
        config["rope_scaling"] = _longrope_scaling(fields, config, constants)
    return config


def _architecture(fields: Fields) -> str:
    """Hugging Face's name of the architecture, of several by whether there are experts, windows."""
    by_arch: dict[str, list[str]] = {}
    for name, family in ARCHITECTURES.items():
        by_arch.setdefault(gguf.MODEL_ARCH_NAMES[family.arch], []).append(name)
    if not isinstance(fields.arch, str) or fields.arch not in by_arch:
        raise unsupported(fields.arch, fields.where, by_arch)
    experts = bool(fields.get(gguf.Keys.LLM.EXPERT_COUNT))
    windows = bool(fields.get(gguf.Keys.Attention.SLIDING_WINDOW))

    def fitting(name: str) -> tuple[bool, bool]:
        family = ARCHITECTURES[name]
        return (family.experts is not None) == experts, bool(family.window_pattern) == windows

    return max(by_arch[fields.arch], key=fitting)


def has_predicting_layers(fields: Fields) -> bool:
    """Whether the last layers of a GGUF predict several tokens at once."""
    return bool(fields.get(gguf.Keys.LLM.NEXTN_PREDICT_LAYERS))


def _common_settings(
    name: str, fields: Fields, shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, Any]:
    """What all architectures have."""
    config: dict[str, Any] = {
        "architectures": [name],
        "model_type": ARCHITECTURES[name].model_type,
        "hidden_act": "silu",
        "vocab_size": shapes[GGUF_EMBEDDING][0],
        "tie_word_embeddings": GGUF_HEAD not in shapes,
        "attention_bias": "blk.0.attn_q.bias" in shapes,
        "mlp_bias": "blk.0.ffn_up.bias" in shapes,
    }
    config |= {key: fields.whole(stored, 1) for key, stored in _SIZES.items()}
    if has_predicting_layers(fields):
        config["num_hidden_layers"] -= fields.whole(gguf.Keys.LLM.NEXTN_PREDICT_LAYERS, 0)
    if not 0 < config["num_hidden_layers"] <= len(shapes):
        raise CheckpointError(
            f"{config['num_hidden_layers']} layers of {len(shapes)} tensors", where=fields.where
        )
    groups = gguf.Keys.Attention.HEAD_COUNT_KV
    config["num_key_value_heads"] = (
        fields.whole(groups, 1) if fields.get(groups) else config["num_attention_heads"]
    )
    config["rms_norm_eps"] = fields.number(gguf.Keys.Attention.LAYERNORM_RMS_EPS)
    if fields.get(gguf.Keys.Attention.KEY_LENGTH):
        config["head_dim"] = fields.whole(gguf.Keys.Attention.KEY_LENGTH, 1)
    for key, stored in _SPECIAL.items():
        if fields.get(stored) is not None:
            config[key] = fields.whole(stored, 0)
    return config


def _experts(family: Family, fields: Fields) -> dict[str, Any]:
    """How many experts there are and are used, and how wide they are."""
    if family.experts is None:
        return {}
    found = {
        family.experts.counts[0]: fields.whole(gguf.Keys.LLM.EXPERT_COUNT, 1),
        "num_experts_per_tok": fields.whole(gguf.Keys.LLM.EXPERT_USED_COUNT, 1),
    }
    width = fields.get(gguf.Keys.LLM.EXPERT_FEED_FORWARD_LENGTH)
    if width is not None:
        found[family.experts.inner] = width
    return found | {key: value for key, value in family.fixed.items() if isinstance(value, bool)}


def _rope_scaling(fields: Fields) -> dict[str, Any]:
    """Linear or YaRN scaling as a `config.json` writes it, empty where there is none."""
    kind = fields.get(gguf.Keys.Rope.SCALING_TYPE)
    if kind in (None, "none"):
        return {}
    if kind not in ("linear", "yarn"):
        raise CheckpointError(
            f"rope scaling {shown(kind)}", where=fields.where, expected="linear or yarn"
        )
    factor = fields.number(gguf.Keys.Rope.SCALING_FACTOR)
    scaling: dict[str, Any] = {"rope_type": kind, "factor": factor}
    original = gguf.Keys.Rope.SCALING_ORIG_CTX_LEN
    if fields.get(original) is not None:
        scaling["original_max_position_embeddings"] = fields.whole(original, 1)
    return scaling | fields.numbers(_YARN)


def _longrope_scaling(
    fields: Fields, config: Mapping[str, Any], constants: Mapping[str, Float]
) -> dict[str, Any]:
    """The factors of Phi's long contexts, whose scale of attention follows from the lengths."""
    scaling = {
        "rope_type": "longrope",
        "long_factor": [float(str(factor)) for factor in constants[LONG_FACTORS]],
        "short_factor": [float(str(factor)) for factor in constants[SHORT_FACTORS]],
    }
    key = gguf.Keys.Rope.SCALING_ATTN_FACTOR
    original = config["original_max_position_embeddings"]
    expected = longrope_factor(scaling, config["max_position_embeddings"] / original, original)
    if not math.isclose(fields.number(key), expected, rel_tol=1e-5):
        raise fields.error(key, fields.get(key), f"{expected}, as its context gives")
    return scaling


def _llama3_scaling(config: Mapping[str, Any], factors: Float, where: Path) -> dict[str, Any]:
    """The settings of Llama 3's rope scaling that give these factors.

    The largest factor is the scaling's; the two bounds are always published as 1 and 4, so that
    only the original context length is searched for.
    """
    layout = layout_of(config, where)
    fits = factors.size * 2 == layout.head_dim
    for original in (_PUBLISHED_CONTEXT, *_CONTEXTS) if fits else ():
        scaling = {
            "rope_type": "llama3",
            "factor": float(factors.max()),
            "low_freq_factor": _LOW,
            "high_freq_factor": _HIGH,
            "original_max_position_embeddings": original,
        }
        tried = {**config, "rope_scaling": scaling}
        found = extra_tensors(layout, tried).get(ROPE_FACTORS)
        if found is not None and np.allclose(found, factors, rtol=1e-5, atol=0.0):
            return scaling
    raise CheckpointError(
        "rope_freqs.weight holds frequency factors that are not those of Llama 3",
        where=where,
        expected=f"bounds {_LOW:g} and {_HIGH:g}, and an original context of a power of two",
    )
