"""Gemma 4: heads of two sizes, layers that share keys and values, an embedding for each layer.

Layers that attend to everything have larger heads than those with a window. The last layers may
take keys and values from earlier ones, and some models look every token up once more for each
layer. Sizes follow `transformers` (`models/gemma4`), metadata llama.cpp's `conversion/gemma.py`,
and what is refused its `src/models/gemma4.cpp`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gguf
import numpy as np

from mergesearch._kernels.stored import Float
from mergesearch._system.documents import state_of
from mergesearch.errors import CheckpointError
from mergesearch.gguf.documents import positive_size
from mergesearch.gguf.family import NOT_BUILT_IN
from mergesearch.gguf.fields import Fields

ARCHITECTURE = "Gemma4ForCausalLM"
SLIDING, FULL = "sliding_attention", "full_attention"
SHARED = ", shared"
"""Ends the kind of a layer that takes keys and values from an earlier one."""
KINDS = (SLIDING, FULL, SLIDING + SHARED, FULL + SHARED)

DEFAULTS: dict[str, Any] = {
    "rms_norm_eps": 1e-6,
    "max_position_embeddings": 131072,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "head_dim": 256,
    "global_head_dim": 512,
    "attention_k_eq_v": False,
    "num_kv_shared_layers": 0,
    "use_double_wide_mlp": False,
    "enable_moe_block": False,
    "hidden_size_per_layer_input": 256,
    "vocab_size_per_layer_input": 262144,
    "sliding_window": 512,
    "tie_word_embeddings": True,
    "rope_parameters": {
        SLIDING: {"rope_type": "default", "rope_theta": 1e4},
        FULL: {"rope_type": "proportional", "partial_rotary_factor": 0.25, "rope_theta": 1e6},
    },
}
"""Values that `transformers` takes where a config.json is silent."""

_ATTENTION, _LLM, _ROPE = gguf.Keys.Attention, gguf.Keys.LLM, gguf.Keys.Rope
_UNTURNED = 1e30  # factor of the frequencies that do not turn


def with_heads_of_full_attention(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config.json with the keys by which published ones give the larger heads.

    `transformers` 5 writes them as settings of single layers (`per_layer_config`).
    """
    plain = dict(config)
    by_layer = plain.pop("per_layer_config", None)
    if plain.get("architectures") != [ARCHITECTURE] or not by_layer:
        return dict(config)
    own: Mapping[str, Any] = next(iter(by_layer.values()))
    for key, stored in (("global_head_dim", "head_dim"), (_FULL_GROUPS, "num_key_value_heads")):
        if own.get(stored) is not None:
            plain[key] = own[stored]
    return plain


_FULL_GROUPS = "num_global_key_value_heads"


def layer_kinds(
    kinds: Sequence[str], config: Mapping[str, Any], where: str | Path
) -> tuple[str, ...]:
    """Return the kind of each layer, those that share keys and values marked.

    Args:
        kinds: Kind of attention of each layer.
        config: Completed `config.json`.

    Raises:
        CheckpointError: There are experts, or the layers share keys and values of other layers
            than llama.cpp takes them from.
    """
    if config["enable_moe_block"]:
        raise CheckpointError(
            "Gemma 4 with experts is not built in",
            where=where,
            fix=NOT_BUILT_IN,
        )
    first = len(kinds) - int(config["num_kv_shared_layers"])
    if first < len(kinds) and (first < 2 or tuple(kinds[first - 2 : first]) != (SLIDING, FULL)):
        raise CheckpointError(
            f"num_kv_shared_layers is {config['num_kv_shared_layers']}",
            where=where,
            expected=f"layers that come after one of {SLIDING} and one of {FULL}",
        )
    return (*kinds[:first], *(kind + SHARED for kind in kinds[first:]))


def sizes_by_kind(config: Mapping[str, Any], where: str | Path) -> dict[str, dict[str, int]]:
    """Return the sizes that depend on a layer's kind, and those of all layers under no kind.

    Args:
        config: Completed `config.json`.
    """
    heads = positive_size(config, "num_attention_heads", where)
    groups = positive_size(config, "num_key_value_heads", where)
    one_for_both = bool(config["attention_k_eq_v"])
    full_groups = positive_size(config, _FULL_GROUPS, where, groups) if one_for_both else groups
    found = {"": _per_layer_sizes(config, where)}
    for kind, head, own in (
        (SLIDING, positive_size(config, "head_dim", where), groups),
        (FULL, positive_size(config, "global_head_dim", where), full_groups),
    ):
        if heads % own or head % 2:
            raise CheckpointError(
                f"{heads} heads of {head} rows share {own} heads of keys in {kind}",
                where=where,
                expected="a multiple, of an even number of rows",
            )
        of_layer = {"head": head, "key head": head, "queries": heads * head, "keys": own * head}
        of_layer["values"] = 0 if kind == FULL and one_for_both else own * head
        found[kind] = of_layer
        shared = of_layer | dict.fromkeys(("key head", "keys", "values"), 0)
        if config["use_double_wide_mlp"]:
            shared["inner"] = 2 * positive_size(config, "intermediate_size", where)
        found[kind + SHARED] = shared
    return found


def _per_layer_sizes(config: Mapping[str, Any], where: str | Path) -> dict[str, int]:
    """Sizes of the embeddings of each layer, 0 in a model without them."""
    width = config["hidden_size_per_layer_input"] or 0
    rows = positive_size(config, "vocab_size_per_layer_input", where) if width else 0
    hidden = positive_size(config, "hidden_size", where)
    return {
        "one": 1,
        "layer input": width,
        "layer inputs": width * positive_size(config, "num_hidden_layers", where),
        "layer input tokens": rows,
        "hidden with layer inputs": hidden if width else 0,
    }


def rope_factors(rope: Mapping[str, Any], config: Mapping[str, Any]) -> Float:
    """Return the factors of the frequencies of full attention, of which only the first turn.

    Args:
        rope: Rotary settings of full attention.
        config: Completed `config.json`.

    Returns:
        float32, shape `(global_head_dim / 2,)`.

    Raises:
        CheckpointError: Positions turn in another way.
    """
    if rope.get("rope_type") != "proportional" or rope.get("factor", 1.0) != 1.0:
        raise CheckpointError(
            state_of(f"rope_type of {FULL}", rope.get("rope_type")),
            where="config.json",
            expected="proportional, without a factor, which is all that llama.cpp computes",
        )
    pairs = config["global_head_dim"] // 2
    turned = int(config["global_head_dim"] * rope.get("partial_rotary_factor", 1.0) / 2)
    return np.where(np.arange(pairs) < turned, 1.0, _UNTURNED).astype(np.float32)


def own_keys(kinds: Sequence[str], config: Mapping[str, Any], where: str | Path) -> dict[str, Any]:
    """Return the keys of a GGUF that only Gemma 4 has, or has otherwise than other families.

    Args:
        kinds: Kind of each layer.
        config: Completed `config.json`.
    """
    sizes = sizes_by_kind(config, where)
    head, full_head = sizes[SLIDING]["head"], sizes[FULL]["head"]
    keys: dict[str, Any] = {
        _ATTENTION.KEY_LENGTH: full_head,
        _ATTENTION.VALUE_LENGTH: full_head,
        _ATTENTION.KEY_LENGTH_SWA: head,
        _ATTENTION.VALUE_LENGTH_SWA: head,
        _ATTENTION.SHARED_KV_LAYERS: sum(kind.endswith(SHARED) for kind in kinds),
        _ATTENTION.SLIDING_WINDOW: positive_size(config, "sliding_window", where),
        _ATTENTION.SLIDING_WINDOW_PATTERN: [kind.startswith(SLIDING) for kind in kinds],
        _LLM.EMBD_LENGTH_PER_LAYER_INP: sizes[""]["layer input"],
        _ROPE.DIMENSION_COUNT: full_head,
        _ROPE.DIMENSION_COUNT_SWA: head,
    }
    if config.get("final_logit_softcapping"):
        keys[_LLM.FINAL_LOGIT_SOFTCAPPING] = float(config["final_logit_softcapping"])
    if config["use_double_wide_mlp"]:
        inner = config["intermediate_size"]
        keys[_LLM.FEED_FORWARD_LENGTH] = [sizes[kind].get("inner", inner) for kind in kinds]
    if config.get(_FULL_GROUPS) is not None and config["attention_k_eq_v"]:
        groups = {SLIDING: config["num_key_value_heads"], FULL: config[_FULL_GROUPS]}
        keys[_ATTENTION.HEAD_COUNT_KV] = [groups[kind.removesuffix(SHARED)] for kind in kinds]
    return keys


def fields_of_windows(fields: Fields) -> Fields:
    """Return the metadata as if all layers were like those with a window.

    Raises:
        CheckpointError: It does not say which layers have a window.
    """
    inner = fields.raw(_LLM.FEED_FORWARD_LENGTH)
    return fields.with_values(
        {
            _ATTENTION.KEY_LENGTH: fields.get(_ATTENTION.KEY_LENGTH_SWA),
            _ATTENTION.HEAD_COUNT_KV: _groups(fields, windowed=True),
            _LLM.FEED_FORWARD_LENGTH: inner[0] if isinstance(inner, list) and inner else inner,
        }
    )


def own_settings(
    fields: Fields,
    shapes: Mapping[str, tuple[int, ...]],
    factors: Float | None,
) -> dict[str, Any]:
    """Return the settings of a config.json that only Gemma 4 has, out of a GGUF.

    Args:
        shapes: Shape of every tensor by its GGUF name.
        factors: Factors of the frequencies of full attention, shape `(global_head_dim / 2,)`.

    Raises:
        CheckpointError: A value is missing or damaged, or the factors turn heads in another way.
    """
    windows = _windows(fields)
    full = windows.index(False) if False in windows else 0
    inner = fields.raw(_LLM.FEED_FORWARD_LENGTH)
    settings = {
        "hidden_activation": "gelu_pytorch_tanh",
        "layer_types": [SLIDING if windowed else FULL for windowed in windows],
        "global_head_dim": fields.whole(_ATTENTION.KEY_LENGTH, 2),
        "num_kv_shared_layers": fields.whole(_ATTENTION.SHARED_KV_LAYERS, 0),
        "sliding_window": fields.whole(_ATTENTION.SLIDING_WINDOW, 1),
        "hidden_size_per_layer_input": fields.whole(_LLM.EMBD_LENGTH_PER_LAYER_INP, 0),
        "attention_k_eq_v": f"blk.{full}.attn_v.weight" not in shapes,
        "use_double_wide_mlp": isinstance(inner, list) and inner[-1:] != inner[:1],
        "rope_parameters": {
            SLIDING: {"rope_type": "default", "rope_theta": fields.number(_ROPE.FREQ_BASE_SWA)},
            FULL: {
                "rope_type": "proportional",
                "partial_rotary_factor": _turned_part(factors, fields.where),
                "rope_theta": fields.number(_ROPE.FREQ_BASE),
            },
        },
    }
    table = shapes.get("per_layer_token_embd.weight")
    if table is not None:
        settings["vocab_size_per_layer_input"] = table[0]
    if settings["attention_k_eq_v"]:
        settings[_FULL_GROUPS] = _groups(fields, windowed=False)
    if fields.get(_LLM.FINAL_LOGIT_SOFTCAPPING) is not None:
        settings["final_logit_softcapping"] = fields.number(_LLM.FINAL_LOGIT_SOFTCAPPING)
    return settings


def _windows(fields: Fields) -> list[bool]:
    windows = fields.raw(_ATTENTION.SLIDING_WINDOW_PATTERN)
    if not isinstance(windows, list) or not set(windows) <= {True, False}:
        expected = "whether each layer has a window"
        raise fields.error(_ATTENTION.SLIDING_WINDOW_PATTERN, windows, expected)
    return [bool(windowed) for windowed in windows]


def _groups(fields: Fields, *, windowed: bool) -> Any:
    """The number of heads of keys in the layers of a kind."""
    groups, windows = fields.raw(_ATTENTION.HEAD_COUNT_KV), _windows(fields)
    if not isinstance(groups, list):
        return groups
    of_kind = (own for own, window in zip(groups, windows, strict=False) if window is windowed)
    return next(of_kind, None)


def _turned_part(factors: Float | None, where: Path) -> float:
    """The part of the frequencies of full attention that turn."""
    turned = 0 if factors is None else int((factors == 1.0).sum())
    if factors is None or not turned or not (factors[turned:] >= _UNTURNED).all():
        raise CheckpointError(
            "rope_freqs.weight does not hold the frequency factors of Gemma 4",
            where=where,
            expected=f"1 for those that turn, then {_UNTURNED:g}",
        )
    return turned / factors.size
