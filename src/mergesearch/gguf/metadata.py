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

from mergesearch.errors import CheckpointError
from mergesearch.gguf.families import completed
from mergesearch.gguf.layout import Layout, tensor_shapes
from mergesearch.gguf.rope import extra_tensors, rope_parameters, window_theta

GENERAL_NAME = "mergesearch candidate"

Own = Callable[[gguf.GGUFWriter, Layout, Mapping[str, Any]], None]


def add_model_metadata(
    writer: gguf.GGUFWriter,
    layout: Layout,
    config: Mapping[str, Any],
    generation: Mapping[str, Any],
) -> None:
    """Add everything but the vocabulary and the file type to a GGUF.

    Args:
        writer: takes the keys, in this order.
        layout: the model's sizes.
        config: its `config.json`.
        generation: its `generation_config.json`, which may hold sampling defaults.

    Raises:
        CheckpointError: the config.json asks for what llama.cpp does not compute.
    """
    config = completed(config, layout.family)
    writer.add_type(gguf.GGUFType.MODEL)
    _add_sampling(writer, generation)
    writer.add_name(GENERAL_NAME)
    count = sum(math.prod(shape) for shape in tensor_shapes(layout).values())
    count += sum(values.size for values in extra_tensors(layout, config).values())
    writer.add_size_label(gguf.size_label(count, count, 0, 0))
    writer.add_block_count(layout.n_layers)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(layout.hidden)
    writer.add_feed_forward_length(layout.feed_forward)
    writer.add_head_count(layout.n_heads)
    writer.add_head_count_kv(layout.n_kv_heads)
    if layout.arch not in _ROPE_APART:
        _add_rope(writer, rope_parameters(config))
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    if layout.family.head_sizes or config.get("head_dim") is not None:
        writer.add_key_length(layout.head_dim)
        writer.add_value_length(layout.head_dim)
    _OWN.get(layout.arch, _nothing)(writer, layout, config)


_ROPE_TYPES = {"linear": gguf.RopeScalingType.LINEAR, "yarn": gguf.RopeScalingType.YARN}
_SAMPLING = {
    "top_k": "add_sampling_top_k",
    "top_p": "add_sampling_top_p",
    "min_p": "add_sampling_min_p",
    "temperature": "add_sampling_temp",
    "penalty_repeat": "add_sampling_penalty_repeat",
}


def _add_rope(writer: gguf.GGUFWriter, rope: Mapping[str, Any]) -> None:
    kind = _ROPE_TYPES.get(str(rope.get("rope_type")))
    if kind is not None and rope.get("factor") is not None:
        writer.add_rope_scaling_type(kind)
        writer.add_rope_scaling_factor(rope["factor"])
        if kind == gguf.RopeScalingType.YARN:
            _add_yarn(writer, rope)
    writer.add_rope_freq_base(rope.get("rope_theta", 10000.0))


def _add_yarn(writer: gguf.GGUFWriter, rope: Mapping[str, Any]) -> None:
    if rope.get("original_max_position_embeddings") is not None:
        writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
    attention = rope.get("attention_factor", rope.get("attn_factor"))
    for value, add in (
        (rope.get("extrapolation_factor"), writer.add_rope_scaling_yarn_ext_factor),
        (attention, writer.add_rope_scaling_yarn_attn_factor),
        (rope.get("beta_fast"), writer.add_rope_scaling_yarn_beta_fast),
        (rope.get("beta_slow"), writer.add_rope_scaling_yarn_beta_slow),
    ):
        if value is not None:
            add(value)


def _nothing(writer: gguf.GGUFWriter, layout: Layout, config: Mapping[str, Any]) -> None:
    """Nothing beside what all families have."""


def _llama(writer: gguf.GGUFWriter, layout: Layout, config: Mapping[str, Any]) -> None:
    writer.add_vocab_size(layout.vocab_rows)
    writer.add_rope_dimension_count(layout.head_dim)


def _gemma2(writer: gguf.GGUFWriter, layout: Layout, config: Mapping[str, Any]) -> None:
    """Soft caps and the window; llama.cpp's own rotary base is the only one it knows."""
    _check_gemma(layout, config)
    rope = rope_parameters(config)
    _require(config, "rope_theta", rope.get("rope_theta", 10000.0), 10000.0)
    _require(config, "rope_type", rope.get("rope_type", "default"), "default")
    for key in ("attn_logit_softcapping", "final_logit_softcapping", "sliding_window"):
        if not config[key]:
            raise CheckpointError(
                f"config.json: {key} is {config[key]}", expected="a number, as llama.cpp needs it"
            )
    writer.add_attn_logit_softcapping(config["attn_logit_softcapping"])
    writer.add_final_logit_softcapping(config["final_logit_softcapping"])
    writer.add_sliding_window(config["sliding_window"])


def _gemma3(writer: gguf.GGUFWriter, layout: Layout, config: Mapping[str, Any]) -> None:
    """The window, and the rotary base of the layers that have it."""
    _check_gemma(layout, config)
    _require(config, "attn_logit_softcapping", config.get("attn_logit_softcapping"), None)
    if config.get("final_logit_softcapping"):
        writer.add_final_logit_softcapping(config["final_logit_softcapping"])
    writer.add_sliding_window(config["sliding_window"])
    writer.add_rope_freq_base_swa(window_theta(config) or 10000.0)


def _check_gemma(layout: Layout, config: Mapping[str, Any]) -> None:
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


def _phi3(writer: gguf.GGUFWriter, layout: Layout, config: Mapping[str, Any]) -> None:
    """Partial and long rotary positions; llama.cpp ignores the window that it is told."""
    rope = rope_parameters(config)
    original = rope["original_max_position_embeddings"]
    writer.add_rope_scaling_orig_ctx_len(original)
    dimensions = int(rope.get("partial_rotary_factor", 1.0) * layout.hidden) // layout.n_heads
    writer.add_rope_dimension_count(dimensions)
    writer.add_rope_freq_base(rope.get("rope_theta", 10000.0))
    writer.add_sliding_window(config.get("sliding_window") or 0)
    if rope.get("long_factor"):
        scale = config["max_position_embeddings"] / original
        writer.add_rope_scaling_attn_factors(_attention_factor(rope, scale, original))


def _attention_factor(rope: Mapping[str, Any], scale: float, original: int) -> float:
    """What attention is scaled by in contexts beyond the original one (`conversion/phi.py`)."""
    kind = str(rope.get("rope_type", "")).lower()
    if kind not in ("su", "longrope", "yarn"):
        raise CheckpointError(
            f"config.json: rope_type {kind!r} with long_factor", expected="longrope, su or yarn"
        )
    if scale <= 1.0:
        return 1.0
    if kind == "yarn":
        return 0.1 * math.log(scale) + 1.0
    return math.sqrt(1 + math.log(scale) / math.log(original))


def _require(config: Mapping[str, Any], key: str, found: Any, expected: Any) -> None:
    if found != expected:
        raise CheckpointError(
            f"config.json: {key} is {found}",
            where=(config.get("architectures") or [""])[0],
            expected=f"{expected}, which is all that llama.cpp computes",
        )


_ROPE_APART = (gguf.MODEL_ARCH.GEMMA2, gguf.MODEL_ARCH.PHI3)
_OWN: dict[gguf.MODEL_ARCH, Own] = {
    gguf.MODEL_ARCH.LLAMA: _llama,
    gguf.MODEL_ARCH.GEMMA2: _gemma2,
    gguf.MODEL_ARCH.GEMMA3: _gemma3,
    gguf.MODEL_ARCH.PHI3: _phi3,
}


def _add_sampling(writer: gguf.GGUFWriter, settings: Mapping[str, Any]) -> None:
    for key, method in _SAMPLING.items():
        if settings.get(key) is not None:
            getattr(writer, method)(settings[key])
