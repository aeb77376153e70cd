"""The metadata of a GGUF but for its vocabulary, as llama.cpp's converter writes it.

Keys and values match `convert_hf_to_gguf.py` (`conversion/base.py` and the family's own file),
without paths and dates. What llama.cpp would compute otherwise than the config.json says is
refused.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import gguf

from mergesearch._system.documents import shown, state_of
from mergesearch.errors import CheckpointError
from mergesearch.gguf import gemma4
from mergesearch.gguf.families import completed
from mergesearch.gguf.layout import BuiltInLayout
from mergesearch.gguf.pack import Metadata
from mergesearch.gguf.rope import (
    extra_tensors,
    longrope_factor,
    rope_parameters,
    window_theta,
)

GENERAL_NAME = "mergesearch candidate"

_LLM, _ROPE = gguf.Keys.LLM, gguf.Keys.Rope
_ATTENTION, _GENERAL = gguf.Keys.Attention, gguf.Keys.General

Own = Callable[[Metadata, BuiltInLayout, Mapping[str, Any]], None]


def model_metadata(
    layout: BuiltInLayout, config: Mapping[str, Any], generation: Mapping[str, Any]
) -> Metadata:
    """Return the metadata of a model, but for its vocabulary and file type.

    Args:
        generation: `generation_config.json` of the model, which may hold sampling defaults.

    Raises:
        CheckpointError: The config.json asks for what llama.cpp does not compute.
    """
    config = completed(config, layout.family)
    for key, value in layout.family.fixed.items():
        _require(config, key, config[key], value)
    keys = Metadata(gguf.MODEL_ARCH_NAMES[layout.arch])
    keys.add(_GENERAL.ARCHITECTURE, gguf.MODEL_ARCH_NAMES[layout.arch])
    keys.add(_GENERAL.TYPE, gguf.GGUFType.MODEL)
    _add_sampling(keys, generation)
    keys.add(_GENERAL.NAME, GENERAL_NAME)
    keys.add(_GENERAL.SIZE_LABEL, _size_label(layout, config))
    keys.add(_LLM.BLOCK_COUNT, layout.n_layers)
    keys.add(_LLM.CONTEXT_LENGTH, config["max_position_embeddings"])
    keys.add(_LLM.EMBEDDING_LENGTH, layout.hidden)
    keys.add(_LLM.FEED_FORWARD_LENGTH, layout.feed_forward)
    keys.add(_ATTENTION.HEAD_COUNT, layout.n_heads)
    keys.add(_ATTENTION.HEAD_COUNT_KV, layout.n_kv_heads)
    if layout.arch not in _ROPE_APART:
        _add_rope(keys, rope_parameters(config))
    keys.add(_ATTENTION.LAYERNORM_RMS_EPS, float(config["rms_norm_eps"]))
    if layout.n_experts:
        keys.add(_LLM.EXPERT_COUNT, layout.n_experts)
        keys.add(_LLM.EXPERT_USED_COUNT, config["num_experts_per_tok"])
    if layout.family.head_sizes or config.get("head_dim") is not None:
        keys.add(_ATTENTION.KEY_LENGTH, layout.head_dim)
        keys.add(_ATTENTION.VALUE_LENGTH, layout.head_dim)
    _OWN.get(layout.arch, _nothing)(keys, layout, config)
    for name, key in layout.family.numbers.items():
        keys.add(key, float(config[name]))
    return keys


def _size_label(layout: BuiltInLayout, config: Mapping[str, Any]) -> str:
    """The size in the name that llama.cpp gives a model, such as `7B` or `8x7B`."""
    shapes = layout.tensor_shapes()
    experts = sum(math.prod(shape) for name, shape in shapes.items() if ".experts." in name)
    shared = sum(math.prod(shape) for shape in shapes.values()) - experts
    shared += sum(values.size for values in extra_tensors(layout, config).values())
    of_one = experts // max(1, layout.n_experts)
    return str(gguf.size_label(shared + experts, shared, of_one, layout.n_experts))


_ROPE_TYPES = {"linear": gguf.RopeScalingType.LINEAR, "yarn": gguf.RopeScalingType.YARN}
_YARN = {
    _ROPE.SCALING_YARN_EXT_FACTOR: ("extrapolation_factor",),
    _ROPE.SCALING_YARN_ATTN_FACTOR: ("attention_factor", "attn_factor"),
    _ROPE.SCALING_YARN_BETA_FAST: ("beta_fast",),
    _ROPE.SCALING_YARN_BETA_SLOW: ("beta_slow",),
}
_SAMPLING = {
    "top_k": (_GENERAL.SAMPLING_TOP_K, gguf.GGUFValueType.INT32),
    "top_p": (_GENERAL.SAMPLING_TOP_P, gguf.GGUFValueType.FLOAT32),
    "min_p": (_GENERAL.SAMPLING_MIN_P, gguf.GGUFValueType.FLOAT32),
    "temperature": (_GENERAL.SAMPLING_TEMP, gguf.GGUFValueType.FLOAT32),
    "penalty_repeat": (_GENERAL.SAMPLING_PENALTY_REPEAT, gguf.GGUFValueType.FLOAT32),
}


def _add_rope(keys: Metadata, rope: Mapping[str, Any]) -> None:
    kind = _ROPE_TYPES.get(str(rope.get("rope_type")))
    if kind is not None and rope.get("factor") is not None:
        keys.add(_ROPE.SCALING_TYPE, kind.value)
        keys.add(_ROPE.SCALING_FACTOR, float(rope["factor"]))
        if kind == gguf.RopeScalingType.YARN:
            _add_yarn(keys, rope)
    keys.add(_ROPE.FREQ_BASE, float(rope.get("rope_theta", 10000.0)))


def _add_yarn(keys: Metadata, rope: Mapping[str, Any]) -> None:
    if rope.get("original_max_position_embeddings") is not None:
        keys.add(_ROPE.SCALING_ORIG_CTX_LEN, rope["original_max_position_embeddings"])
    for key, names in _YARN.items():
        value = next((rope[name] for name in names if name in rope), None)
        if value is not None:
            keys.add(key, float(value))


def _nothing(keys: Metadata, layout: BuiltInLayout, config: Mapping[str, Any]) -> None:
    """Nothing beside what all families have."""


def _llama(keys: Metadata, layout: BuiltInLayout, config: Mapping[str, Any]) -> None:
    keys.add(_LLM.VOCAB_SIZE, layout.vocab_rows)
    keys.add(_ROPE.DIMENSION_COUNT, layout.head_dim)


def _granite(keys: Metadata, layout: BuiltInLayout, config: Mapping[str, Any]) -> None:
    """The keys of Llama, with heads that share the hidden size among them."""
    _require(config, "head_dim", layout.head_dim, layout.hidden // layout.n_heads)
    others = set(config.get("layer_types") or ()) - {"attention", "full_attention"}
    _require(config, "layer_types", sorted(others) or ["attention"], ["attention"])
    _llama(keys, layout, config)


def _mistral3(keys: Metadata, layout: BuiltInLayout, config: Mapping[str, Any]) -> None:
    """The keys of Llama, with queries that grow slowly beyond the context that YaRN stretches."""
    rope = rope_parameters(config)
    _require(config, "rope_type", rope.get("rope_type"), "yarn")
    _require(config, "sliding_window", config.get("sliding_window"), None)
    scale, beta = rope.get("mscale_all_dim", 1.0), rope.get("llama_4_scaling_beta", 0.0)
    _require(config, "mscale", rope.get("mscale", 1.0), scale)
    keys.add(_ROPE.SCALING_YARN_LOG_MUL, float(scale))
    keys.add(_ATTENTION.TEMPERATURE_SCALE, float(beta))
    _llama(keys, layout, config)


def _olmo2(keys: Metadata, layout: BuiltInLayout, config: Mapping[str, Any]) -> None:
    """A window in most layers of OLMo 3, whose positions are not stretched there."""
    period = layout.family.window_pattern
    if not period:
        return
    kinds = config.get("layer_types") or [
        "full_attention" if (layer + 1) % period == 0 else "sliding_attention"
        for layer in range(layout.n_layers)
    ]
    keys.add(_ATTENTION.SLIDING_WINDOW, _needed(config, "sliding_window"))
    keys.add(_ATTENTION.SLIDING_WINDOW_PATTERN, [kind == "sliding_attention" for kind in kinds])
    theta = window_theta(config)
    if theta is not None:
        _require(config, "rope_theta", theta, float(rope_parameters(config)["rope_theta"]))


def _smollm3(keys: Metadata, layout: BuiltInLayout, config: Mapping[str, Any]) -> None:
    """The keys of Llama, but for layers that know no positions; llama.cpp knows which."""
    period = layout.family.unrotated_every
    interval = config.get("no_rope_layer_interval") or period
    _require(config, "no_rope_layer_interval", interval, period)
    rotated = [int((layer + 1) % period != 0) for layer in range(layout.n_layers)]
    _require(config, "no_rope_layers", config.get("no_rope_layers") or rotated, rotated)
    _require(config, "use_sliding_window", bool(config.get("use_sliding_window")), False)
    _llama(keys, layout, config)


def _qwen3_moe(keys: Metadata, layout: BuiltInLayout, config: Mapping[str, Any]) -> None:
    _require(config, "use_sliding_window", bool(config.get("use_sliding_window")), False)
    keys.add(_LLM.EXPERT_FEED_FORWARD_LENGTH, layout.expert_feed_forward)


def _qwen35(keys: Metadata, layout: BuiltInLayout, config: Mapping[str, Any]) -> None:
    """Sizes of linear attention; positions turn a part of each head of the others."""
    linear, ssm, every = layout.linear, gguf.Keys.SSM, layout.family.window_pattern
    assert linear is not None
    full = [(layer + 1) % every == 0 for layer in range(layout.n_layers)]
    _require(config, "layer_types", [kind == "full_attention" for kind in layout.kinds], full)
    _require(config, "linear_value_head_dim", linear.value_dim, linear.key_dim)
    keys.add(ssm.CONV_KERNEL, linear.kernel)
    keys.add(ssm.STATE_SIZE, linear.key_dim)
    keys.add(ssm.GROUP_COUNT, linear.key_heads)
    keys.add(ssm.TIME_STEP_RANK, linear.value_heads)
    keys.add(ssm.INNER_SIZE, linear.values)
    keys.add(_LLM.FULL_ATTENTION_INTERVAL, every)
    rope = rope_parameters(config)
    keys.add(_ROPE.DIMENSION_COUNT, int(layout.head_dim * rope.get("partial_rotary_factor", 0.25)))
    sections = [*rope.get("mrope_section", _SECTIONS), 0, 0][:4]
    keys.add(_ROPE.DIMENSION_SECTIONS, sections)


_SECTIONS = [11, 11, 10]  # parts of a rotated half head for the axes of an image


def _glm4(keys: Metadata, layout: BuiltInLayout, config: Mapping[str, Any]) -> None:
    """Positions turn a part of each head."""
    turned = int(layout.head_dim * rope_parameters(config).get("partial_rotary_factor", 0.5))
    keys.add(_ROPE.DIMENSION_COUNT, turned)


def _gemma2(keys: Metadata, layout: BuiltInLayout, config: Mapping[str, Any]) -> None:
    """Soft caps and the window; llama.cpp's own rotary base is the only one it knows."""
    _check_gemma(layout, config)
    rope = rope_parameters(config)
    _require(config, "rope_theta", rope.get("rope_theta", 10000.0), 10000.0)
    _require(config, "rope_type", rope.get("rope_type", "default"), "default")
    keys.add(_LLM.ATTN_LOGIT_SOFTCAPPING, float(_needed(config, "attn_logit_softcapping")))
    keys.add(_LLM.FINAL_LOGIT_SOFTCAPPING, float(_needed(config, "final_logit_softcapping")))
    keys.add(_ATTENTION.SLIDING_WINDOW, _needed(config, "sliding_window"))


def _gemma3(keys: Metadata, layout: BuiltInLayout, config: Mapping[str, Any]) -> None:
    """The window, and the rotary base of the layers that have it."""
    _check_gemma(layout, config)
    _require(config, "attn_logit_softcapping", config.get("attn_logit_softcapping"), None)
    if config.get("final_logit_softcapping"):
        keys.add(_LLM.FINAL_LOGIT_SOFTCAPPING, float(config["final_logit_softcapping"]))
    keys.add(_ATTENTION.SLIDING_WINDOW, _needed(config, "sliding_window"))
    keys.add(_ROPE.FREQ_BASE_SWA, window_theta(config) or 10000.0)


def _gemma4(keys: Metadata, layout: BuiltInLayout, config: Mapping[str, Any]) -> None:
    """The window, heads of two sizes, and what layers share."""
    windowed = dict((config["rope_parameters"] or {}).get(gemma4.SLIDING) or {})
    _require(config, "rope_type", windowed.get("rope_type", "default"), "default")
    if not layout.kinds[-1].startswith(gemma4.FULL):
        raise CheckpointError(
            "the last layer attends to a window",
            where=layout.title,
            expected=f"a layer of {gemma4.FULL} at the end, where transformers takes none else",
        )
    if config.get("use_bidirectional_attention") == "all":
        raise CheckpointError(
            "use_bidirectional_attention is 'all'",
            where=f"config.json of {layout.title}",
            expected="a model that writes one token after the other",
        )
    for key, value in gemma4.own_keys(layout.kinds, config, layout.title).items():
        keys.add(key, value)
    keys.add(_ROPE.FREQ_BASE_SWA, window_theta(config) or 10000.0)


def _check_gemma(layout: BuiltInLayout, config: Mapping[str, Any]) -> None:
    """Refuse attention that llama.cpp scales otherwise, or windows in other layers."""
    large = layout.n_layers == layout.family.scaled_by_hidden
    expected = layout.hidden // layout.n_heads if large else layout.head_dim
    _require(config, "query_pre_attn_scalar", config["query_pre_attn_scalar"], expected)
    period = layout.family.window_pattern
    _require(config, "sliding_window_pattern", config.get("sliding_window_pattern", period), period)
    windows = [
        "full_attention" if (layer + 1) % period == 0 else "sliding_attention"
        for layer in range(layout.n_layers)
    ]
    _require(config, "layer_types", config.get("layer_types") or windows, windows)


def _phi3(keys: Metadata, layout: BuiltInLayout, config: Mapping[str, Any]) -> None:
    """Partial and long rotary positions; llama.cpp ignores the window that it is told."""
    rope = rope_parameters(config)
    original = rope["original_max_position_embeddings"]
    keys.add(_ROPE.SCALING_ORIG_CTX_LEN, original)
    dimensions = int(rope.get("partial_rotary_factor", 1.0) * layout.hidden) // layout.n_heads
    keys.add(_ROPE.DIMENSION_COUNT, dimensions)
    keys.add(_ROPE.FREQ_BASE, float(rope.get("rope_theta", 10000.0)))
    keys.add(_ATTENTION.SLIDING_WINDOW, config.get("sliding_window") or 0)
    if rope.get("long_factor"):
        scale = config["max_position_embeddings"] / original
        keys.add(_ROPE.SCALING_ATTN_FACTOR, longrope_factor(rope, scale, original))


def _needed(config: Mapping[str, Any], key: str) -> Any:
    """Return a number that may be null in a config.json, and that llama.cpp needs."""
    if not config[key]:
        raise CheckpointError(
            state_of(key, config[key]),
            where="config.json",
            expected="a number, as llama.cpp needs it",
        )
    return config[key]


def _require(config: Mapping[str, Any], key: str, found: Any, expected: Any) -> None:
    if found != expected:
        raise CheckpointError(
            f"{key} is {_words(found)}",
            where=f"config.json of {(config.get('architectures') or ['a model'])[0]}",
            expected=f"{_words(expected)}, which is all that llama.cpp computes",
        )


def _words(value: Any) -> str:
    """A value of a config.json, lists with all that is in them."""
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "empty"
    return "missing" if value is None else shown(value)


_ROPE_APART = (gguf.MODEL_ARCH.GEMMA2, gguf.MODEL_ARCH.PHI3)
_OWN: dict[gguf.MODEL_ARCH, Own] = {
    gguf.MODEL_ARCH.LLAMA: _llama,
    gguf.MODEL_ARCH.GRANITE: _granite,
    gguf.MODEL_ARCH.MISTRAL3: _mistral3,
    gguf.MODEL_ARCH.OLMO2: _olmo2,
    gguf.MODEL_ARCH.SMOLLM3: _smollm3,
    gguf.MODEL_ARCH.QWEN3MOE: _qwen3_moe,
    gguf.MODEL_ARCH.QWEN35: _qwen35,
    gguf.MODEL_ARCH.GLM4: _glm4,
    gguf.MODEL_ARCH.GEMMA2: _gemma2,
    gguf.MODEL_ARCH.GEMMA3: _gemma3,
    gguf.MODEL_ARCH.GEMMA4: _gemma4,
    gguf.MODEL_ARCH.PHI3: _phi3,
}


def _add_sampling(keys: Metadata, settings: Mapping[str, Any]) -> None:
    for name, (key, kind) in _SAMPLING.items():
        if settings.get(name) is not None:
            keys.add(key, settings[name], kind)
