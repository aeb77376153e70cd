"""The metadata of a GGUF but for its vocabulary, as llama.cpp's converter writes it.

Keys and values match `convert_hf_to_gguf.py` (`conversion/base.py`), without paths and dates.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import gguf

from mergesearch.gguf.family import STRETCHED, completed
from mergesearch.gguf.layout import BuiltInLayout
from mergesearch.gguf.own_metadata import require
from mergesearch.gguf.pack import Metadata
from mergesearch.gguf.rope import extra_tensors, rope_parameters

GENERAL_NAME = "mergesearch candidate"

_LLM, _ROPE = gguf.Keys.LLM, gguf.Keys.Rope
_ATTENTION, _GENERAL = gguf.Keys.Attention, gguf.Keys.General


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
        require(config, key, config[key], value)
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
    if layout.family.rope_keys:
        _add_rope(keys, rope_parameters(config))
    keys.add(_ATTENTION.LAYERNORM_RMS_EPS, float(config["rms_norm_eps"]))
    if layout.n_experts:
        keys.add(_LLM.EXPERT_COUNT, layout.n_experts)
        keys.add(_LLM.EXPERT_USED_COUNT, config["num_experts_per_tok"])
    if layout.family.head_sizes or config.get("head_dim") is not None:
        keys.add(_ATTENTION.KEY_LENGTH, layout.head_dim)
        keys.add(_ATTENTION.VALUE_LENGTH, layout.head_dim)
    if layout.family.add_keys is not None:
        layout.family.add_keys(keys, layout, config)
    return keys


def _size_label(layout: BuiltInLayout, config: Mapping[str, Any]) -> str:
    """The size in the name that llama.cpp gives a model, such as `7B` or `8x7B`."""
    shapes = layout.tensor_shapes()
    experts = sum(math.prod(shape) for name, shape in shapes.items() if ".experts." in name)
    shared = sum(math.prod(shape) for shape in shapes.values()) - experts
    shared += sum(values.size for values in extra_tensors(layout, config).values())
    of_one = experts // max(1, layout.n_experts)
    return str(gguf.size_label(shared + experts, shared, of_one, layout.n_experts))


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
    kind = rope.get("rope_type")
    if kind in STRETCHED and rope.get("factor") is not None:
        keys.add(_ROPE.SCALING_TYPE, kind)
        keys.add(_ROPE.SCALING_FACTOR, float(rope["factor"]))
        if kind == "yarn":
            _add_yarn(keys, rope)
    keys.add(_ROPE.FREQ_BASE, float(rope.get("rope_theta", 10000.0)))


def _add_yarn(keys: Metadata, rope: Mapping[str, Any]) -> None:
    if rope.get("original_max_position_embeddings") is not None:
        keys.add(_ROPE.SCALING_ORIG_CTX_LEN, rope["original_max_position_embeddings"])
    for key, names in _YARN.items():
        value = next((rope[name] for name in names if name in rope), None)
        if value is not None:
            keys.add(key, float(value))


def _add_sampling(keys: Metadata, settings: Mapping[str, Any]) -> None:
    for name, (key, kind) in _SAMPLING.items():
        if settings.get(name) is not None:
            keys.add(key, settings[name], kind)
