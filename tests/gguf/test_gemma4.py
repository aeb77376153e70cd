"""Gemma 4's own settings: from a config.json to a GGUF and back, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf import Keys
from helpers.parents import make_config

from mergesearch.errors import CheckpointError
from mergesearch.gguf import gemma4, layout_of
from mergesearch.gguf.architectures import ARCHITECTURES
from mergesearch.gguf.family import completed
from mergesearch.gguf.fields import Fields

HERE = Path("here")
FAMILY = ARCHITECTURES[gemma4.ARCHITECTURE]


def config_of(**changes: Any) -> dict[str, Any]:
    return completed(make_config("gemma4_text", **changes), FAMILY)


def test_the_last_layers_share_keys() -> None:
    layout = layout_of(make_config("gemma4_text"), HERE)
    sliding, full = gemma4.SLIDING, gemma4.FULL
    assert layout.kinds == (sliding, sliding, full, sliding + ", shared", full + ", shared")
    shapes = layout.tensor_shapes()
    assert shapes["model.layers.2.self_attn.q_proj.weight"] == (128, 64)
    assert shapes["model.layers.2.self_attn.k_proj.weight"] == (64, 64)
    assert shapes["model.layers.2.mlp.up_proj.weight"] == (96, 64)
    assert shapes["model.layers.4.mlp.up_proj.weight"] == (192, 64)
    assert shapes["model.layers.4.layer_scalar"] == (1,)
    assert shapes["model.embed_tokens_per_layer.weight"] == (384, 40)
    assert "model.layers.4.self_attn.k_proj.weight" not in shapes


def test_one_matrix_for_keys_and_values_of_full_attention() -> None:
    changes = {"attention_k_eq_v": True, "num_global_key_value_heads": 1, "num_kv_shared_layers": 0}
    shapes = layout_of(make_config("gemma4_text", **changes), HERE).tensor_shapes()
    assert shapes["model.layers.2.self_attn.k_proj.weight"] == (32, 64)
    assert "model.layers.2.self_attn.v_proj.weight" not in shapes
    assert shapes["model.layers.1.self_attn.v_proj.weight"] == (32, 64)


def test_settings_of_single_layers_are_those_of_full_attention() -> None:
    own = {"head_dim": 32, "num_key_value_heads": 1}
    config = make_config("gemma4_text", per_layer_config={"2": own, "4": own})
    del config["global_head_dim"]
    found = gemma4.with_heads_of_full_attention(config)
    assert "per_layer_config" not in found
    assert (found["global_head_dim"], found["num_global_key_value_heads"]) == (32, 1)
    other = make_config("qwen2", per_layer_config={"0": own})
    assert gemma4.with_heads_of_full_attention(other) == other


def test_only_the_first_frequencies_of_full_attention_turn() -> None:
    rope = {"rope_type": "proportional", "partial_rotary_factor": 0.25}
    factors = gemma4.rope_factors(rope, config_of())
    assert factors.dtype == np.float32
    assert factors.tolist() == [1.0] * 4 + [float(np.float32(1e30))] * 12
    with pytest.raises(CheckpointError, match='rope_type of full_attention is "default"'):
        gemma4.rope_factors({"rope_type": "default"}, config_of())


def fields_of(config: dict[str, Any]) -> Fields:
    """The metadata of a GGUF, as far as it is Gemma 4's own."""
    keys = {
        Keys.General.ARCHITECTURE: "gemma4",
        Keys.Rope.FREQ_BASE: 1e6,
        Keys.Rope.FREQ_BASE_SWA: 5000.0,
        Keys.Attention.HEAD_COUNT_KV: config["num_key_value_heads"],
        Keys.LLM.FEED_FORWARD_LENGTH: config["intermediate_size"],
        **gemma4.own_keys(layout_of(config, HERE).kinds, config, HERE),
    }
    return Fields({key.format(arch="gemma4"): value for key, value in keys.items()}, HERE)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"attention_k_eq_v": True, "num_global_key_value_heads": 1, "num_kv_shared_layers": 0}
        | {"hidden_size_per_layer_input": 0, "use_double_wide_mlp": False},
    ],
)
def test_settings_come_back(changes: dict[str, Any]) -> None:
    config = config_of(**changes)
    fields = fields_of(config)
    shapes = {"per_layer_token_embd.weight": (384, 40), "blk.2.attn_v.weight": (64, 64)}
    factors = gemma4.rope_factors(config["rope_parameters"][gemma4.FULL], config)
    found = gemma4.own_settings(fields, {} if changes else shapes, factors)
    assert found == {key: config[key] for key in found}
    windowed = gemma4.fields_of_windows(fields)
    assert windowed.get(Keys.Attention.KEY_LENGTH) == 16
    assert windowed.get(Keys.Attention.HEAD_COUNT_KV) == 2
    assert windowed.get(Keys.LLM.FEED_FORWARD_LENGTH) == 96


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({Keys.Attention.SLIDING_WINDOW_PATTERN: 6}, "sliding_window_pattern is 6"),
        ({Keys.Attention.SLIDING_WINDOW_PATTERN: [2, 0]}, "sliding_window_pattern is"),
        ({Keys.Attention.SHARED_KV_LAYERS: None}, "needs `.*shared_kv_layers`"),
        ({Keys.Rope.FREQ_BASE_SWA: "x"}, 'freq_base_swa is "x"'),
    ],
)
def test_damaged_metadata(changes: dict[str, Any], message: str) -> None:
    config = config_of()
    factors = gemma4.rope_factors(config["rope_parameters"][gemma4.FULL], config)
    with pytest.raises(CheckpointError, match=message):
        gemma4.own_settings(fields_of(config).with_values(changes), {}, factors)


@pytest.mark.parametrize("factors", [None, np.zeros(16, np.float32), np.arange(16.0)])
def test_frequencies_that_turn_in_another_way(factors: Any) -> None:
    with pytest.raises(CheckpointError, match=r"rope_freqs\.weight does not hold"):
        gemma4.own_settings(fields_of(config_of()), {}, factors)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"enable_moe_block": True}, "Gemma 4 with experts is not built in"),
        ({"num_kv_shared_layers": 1}, "num_kv_shared_layers is 1"),
        ({"num_kv_shared_layers": 5}, "num_kv_shared_layers is 5"),
        ({"global_head_dim": 33}, "4 heads of 33 rows"),
        (
            {"attention_k_eq_v": True, "num_global_key_value_heads": 3},
            "4 heads of 32 rows share 3 heads of keys in full_attention",
        ),
    ],
)
def test_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        layout_of(make_config("gemma4_text", **changes), HERE)
