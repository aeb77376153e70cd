"""What single families have in a GGUF's metadata beside what all have: written, and read back.

Keys and values match the family's own file in llama.cpp's `conversion/`. What llama.cpp would
compute otherwise than the config.json says is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gguf

from mergesearch._system.documents import shown, state_of
from mergesearch.errors import CheckpointError
from mergesearch.gguf import gemma4
from mergesearch.gguf.family import Family
from mergesearch.gguf.fields import Fields
from mergesearch.gguf.layout import BuiltInLayout
from mergesearch.gguf.pack import Metadata
from mergesearch.gguf.rope import longrope_factor, rope_parameters, window_theta

_LLM, _ROPE, _SSM = gguf.Keys.LLM, gguf.Keys.Rope, gguf.Keys.SSM
_ATTENTION = gguf.Keys.Attention
_KINDS = ("sliding_attention", "full_attention")
_SECTIONS = [11, 11, 10]  # parts of a rotated half head for the axes of an image


def add_llama(keys: Metadata, layout: BuiltInLayout, config: Mapping[str, Any]) -> None:
    """Add the number of tokens, and that positions turn whole heads."""
    keys.add(_LLM.VOCAB_SIZE, layout.vocab_rows)
    keys.add(_ROPE.DIMENSION_COUNT, layout.head_dim)


def add_granite(keys: Metadata, layout: BuiltInLayout, config: Mapping[str, Any]) -> None:
    """Add the keys of Llama, with heads that share the hidden size among them, and multipliers."""
    require(config, "head_dim", layout.head_dim, layout.hidden // layout.n_heads)
    others = set(config.get("layer_types") or ()) - {"attention", "full_attention"}
    require(config, "layer_types", sorted(others) or ["attention"], ["attention"])
    add_llama(keys, layout, config)
    for name, key in layout.family.numbers.items():
        keys.add(key, float(config[name]))


def add_mistral3(keys: Metadata, layout: BuiltInLayout, config: Mapping[str, Any]) -> None:
    """Add the keys of Llama, with queries that grow beyond the context that YaRN stretches."""
    rope = rope_parameters(config)
    require(config, "rope_type", rope.get("rope_type"), "yarn")
    require(config, "sliding_window", config.get("sliding_window"), None)
    scale, beta = rope.get("mscale_all_dim", 1.0), rope.get("llama_4_scaling_beta", 0.0)
    require(config, "mscale", rope.get("mscale", 1.0), scale)
    keys.add(_ROPE.SCALING_YARN_LOG_MUL, float(scale))
    keys.add(_ATTENTION.TEMPERATURE_SCALE, float(beta))
    add_llama(keys, layout, config)


def add_olmo3(keys: Metadata, layout: BuiltInLayout, config: Mapping[str, Any]) -> None:
    """Add the window that most layers have; positions are not stretched there."""
    usual = _kinds_of(layout.family, layout.n_layers)
    windows = [kind == _KINDS[0] for kind in config.get("layer_types") or usual]
    keys.add(_ATTENTION.SLIDING_WINDOW, _needed(config, "sliding_window"))
    keys.add(_ATTENTION.SLIDING_WINDOW_PATTERN, windows)
    theta = window_theta(config)
    if theta is not None:
        require(config, "rope_theta", theta, float(rope_parameters(config)["rope_theta"]))


def olmo3_settings(fields: Fields, config: Mapping[str, Any], family: Family) -> dict[str, Any]:
    """Return the window, and which layers have it where the metadata say that."""
    settings: dict[str, Any] = {"sliding_window": fields.get(_ATTENTION.SLIDING_WINDOW)}
    windows = fields.get(_ATTENTION.SLIDING_WINDOW_PATTERN)
    if isinstance(windows, list) and set(windows) <= {True, False}:
        settings["layer_types"] = [_KINDS[not windowed] for windowed in windows]
    return settings


def add_smollm3(keys: Metadata, layout: BuiltInLayout, config: Mapping[str, Any]) -> None:
    """Add the keys of Llama; llama.cpp knows which layers know no positions."""
    period = layout.family.unrotated_every
    interval = config.get("no_rope_layer_interval") or period
    require(config, "no_rope_layer_interval", interval, period)
    rotated = [int((layer + 1) % period != 0) for layer in range(layout.n_layers)]
    require(config, "no_rope_layers", config.get("no_rope_layers") or rotated, rotated)
    require(config, "use_sliding_window", bool(config.get("use_sliding_window")), False)
    add_llama(keys, layout, config)


def add_qwen3_moe(keys: Metadata, layout: BuiltInLayout, config: Mapping[str, Any]) -> None:
    """Add the width of experts."""
    require(config, "use_sliding_window", bool(config.get("use_sliding_window")), False)
    keys.add(_LLM.EXPERT_FEED_FORWARD_LENGTH, layout.expert_feed_forward)


def add_qwen35(keys: Metadata, layout: BuiltInLayout, config: Mapping[str, Any]) -> None:
    """Add sizes of linear attention; positions turn a part of each head of the other layers."""
    sizes, family = layout.sizes(), layout.family
    key_head, head = sizes["linear key head"], sizes["linear head"]
    full = [kind == "full_attention" for kind in layout.kinds]
    require(config, "layer_types", full, family.attending_to_all(layout.n_layers))
    require(config, "linear_value_head_dim", head, key_head)
    keys.add(_SSM.CONV_KERNEL, sizes["kernel"])
    keys.add(_SSM.STATE_SIZE, key_head)
    keys.add(_SSM.GROUP_COUNT, sizes["linear key heads"])
    keys.add(_SSM.TIME_STEP_RANK, sizes["linear heads"])
    keys.add(_SSM.INNER_SIZE, sizes["linear values"])
    keys.add(_LLM.FULL_ATTENTION_INTERVAL, family.window_pattern)
    rope = rope_parameters(config)
    keys.add(_ROPE.DIMENSION_COUNT, int(layout.head_dim * rope.get("partial_rotary_factor", 0.25)))
    sections = [*rope.get("mrope_section", _SECTIONS), 0, 0][:4]
    keys.add(_ROPE.DIMENSION_SECTIONS, sections)


def qwen35_settings(fields: Fields, config: Mapping[str, Any], family: Family) -> dict[str, Any]:
    """Return sizes of linear attention, which layers have it, and the part that turns."""
    every = fields.whole(_LLM.FULL_ATTENTION_INTERVAL, 1)
    kinds = ("linear_attention", "full_attention")
    layers = range(config["num_hidden_layers"])
    settings: dict[str, Any] = {
        "linear_conv_kernel_dim": fields.whole(_SSM.CONV_KERNEL, 1),
        "linear_key_head_dim": fields.whole(_SSM.STATE_SIZE, 1),
        "linear_value_head_dim": fields.whole(_SSM.STATE_SIZE, 1),
        "linear_num_key_heads": fields.whole(_SSM.GROUP_COUNT, 1),
        "linear_num_value_heads": fields.whole(_SSM.TIME_STEP_RANK, 1),
        "layer_types": [kinds[(layer + 1) % every == 0] for layer in layers],
    }
    sections = fields.raw(_ROPE.DIMENSION_SECTIONS)
    if isinstance(sections, list) and all(isinstance(section, int) for section in sections):
        scaling = config.get("rope_scaling") or {"rope_type": "default"}
        settings["rope_scaling"] = scaling | {"mrope_section": sections[:3]}
    return settings | turned_part(fields, config, family)


def add_glm4(keys: Metadata, layout: BuiltInLayout, config: Mapping[str, Any]) -> None:
    """Add how much of each head positions turn."""
    turned = int(layout.head_dim * rope_parameters(config).get("partial_rotary_factor", 0.5))
    keys.add(_ROPE.DIMENSION_COUNT, turned)


def add_gemma2(keys: Metadata, layout: BuiltInLayout, config: Mapping[str, Any]) -> None:
    """Add soft caps and the window; llama.cpp's own rotary base is the only one it knows."""
    _check_gemma(layout, config)
    rope = rope_parameters(config)
    require(config, "rope_theta", rope.get("rope_theta", 10000.0), 10000.0)
    require(config, "rope_type", rope.get("rope_type", "default"), "default")
    keys.add(_LLM.ATTN_LOGIT_SOFTCAPPING, float(_needed(config, "attn_logit_softcapping")))
    keys.add(_LLM.FINAL_LOGIT_SOFTCAPPING, float(_needed(config, "final_logit_softcapping")))
    keys.add(_ATTENTION.SLIDING_WINDOW, _needed(config, "sliding_window"))


def add_gemma3(keys: Metadata, layout: BuiltInLayout, config: Mapping[str, Any]) -> None:
    """Add the window, and the rotary base of the layers that have it."""
    _check_gemma(layout, config)
    require(config, "attn_logit_softcapping", config.get("attn_logit_softcapping"), None)
    if config.get("final_logit_softcapping"):
        keys.add(_LLM.FINAL_LOGIT_SOFTCAPPING, float(config["final_logit_softcapping"]))
    keys.add(_ATTENTION.SLIDING_WINDOW, _needed(config, "sliding_window"))
    keys.add(_ROPE.FREQ_BASE_SWA, window_theta(config) or 10000.0)


def gemma_settings(fields: Fields, config: Mapping[str, Any], family: Family) -> dict[str, Any]:
    """Return the window of Gemma 2 and 3, and what they scale attention by."""
    per_head = config["hidden_size"] // config["num_attention_heads"]
    large = config["num_hidden_layers"] == family.scaled_by_hidden
    return {
        "sliding_window": fields.get(_ATTENTION.SLIDING_WINDOW) or None,
        "query_pre_attn_scalar": per_head if large else config.get("head_dim", per_head),
        "hidden_activation": "gelu_pytorch_tanh",
    }


def _check_gemma(layout: BuiltInLayout, config: Mapping[str, Any]) -> None:
    """Refuse attention that llama.cpp scales otherwise, or windows in other layers."""
    large = layout.n_layers == layout.family.scaled_by_hidden
    expected = layout.hidden // layout.n_heads if large else layout.head_dim
    require(config, "query_pre_attn_scalar", config["query_pre_attn_scalar"], expected)
    period = layout.family.window_pattern
    require(config, "sliding_window_pattern", config.get("sliding_window_pattern", period), period)
    kinds = _kinds_of(layout.family, layout.n_layers)
    require(config, "layer_types", config.get("layer_types") or kinds, kinds)


def add_gemma4(keys: Metadata, layout: BuiltInLayout, config: Mapping[str, Any]) -> None:
    """Add the window, heads of two sizes, and what layers share."""
    windowed = dict((config["rope_parameters"] or {}).get(gemma4.SLIDING) or {})
    require(config, "rope_type", windowed.get("rope_type", "default"), "default")
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


def add_phi3(keys: Metadata, layout: BuiltInLayout, config: Mapping[str, Any]) -> None:
    """Add partial and long rotary positions; llama.cpp ignores the window that it is given."""
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


def phi3_settings(fields: Fields, config: Mapping[str, Any], family: Family) -> dict[str, Any]:
    """Return the window, the original context, and the part of each head that positions turn."""
    return {
        "sliding_window": fields.get(_ATTENTION.SLIDING_WINDOW) or None,
        "original_max_position_embeddings": fields.whole(_ROPE.SCALING_ORIG_CTX_LEN, 2),
        **turned_part(fields, config, family),
    }


def turned_part(fields: Fields, config: Mapping[str, Any], family: Family) -> dict[str, Any]:
    """Return the part of each head that positions turn."""
    per_head = config["hidden_size"] // config["num_attention_heads"]
    turned = fields.whole(_ROPE.DIMENSION_COUNT, 1)
    return {"partial_rotary_factor": turned / config.get("head_dim", per_head)}


def _kinds_of(family: Family, n_layers: int) -> list[str]:
    """The kind of each layer, where a config.json leaves it open."""
    return [_KINDS[full] for full in family.attending_to_all(n_layers)]


def _needed(config: Mapping[str, Any], key: str) -> Any:
    """A number that may be null in a config.json, and that llama.cpp needs."""
    if not config[key]:
        raise CheckpointError(
            state_of(key, config[key]),
            where="config.json",
            expected="a number, as llama.cpp needs it",
        )
    return config[key]


def require(config: Mapping[str, Any], key: str, found: Any, expected: Any) -> None:
    """Refuse a setting of a config.json with another value than llama.cpp computes with.

    Raises:
        CheckpointError: Names the key and both values.
    """
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
