"""What `config.json` and `generation_config.json` may say: types and ranges of the keys in use.

Keys that are not named here are not looked at, and may hold anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, TypeAdapter
from typing_extensions import TypedDict  # pydantic cannot use that of `typing` in Python 3.11

from mergesearch._system.documents import one_or_several, refused, state_of
from mergesearch.errors import CheckpointError


def _check_float32(value: float) -> float:
    if value < 1e-30:  # the least would be 0 in a file
        raise refused("is too close to 0")
    return value


Text = Annotated[str, Field(strict=True)]
Switch = Annotated[bool, Field(strict=True)]
Size = Annotated[int, Field(strict=True, ge=1, lt=1 << 31)]
Count = Annotated[int, Field(strict=True, ge=0, lt=1 << 31)]
Positive = Annotated[float, Field(strict=True, gt=0, le=1e30), AfterValidator(_check_float32)]
Share = Annotated[float, Field(strict=True, gt=0, le=1)]
ContextLength = Annotated[int, Field(strict=True, ge=2, lt=1 << 31)]


def _is_row(value: Any, least: int) -> bool:
    return value is None or (type(value) is int and least <= value < 1 << 31)


_TOKEN = "the id of a token"
TokenIds = Annotated[Any, one_or_several(partial(_is_row, least=0), _TOKEN)]
"""A row of the vocabulary, or several: a model may have several ends."""
PaddingId = Annotated[Any, one_or_several(partial(_is_row, least=-1), _TOKEN)]
"""A row; -1 in some published files of models without a token for padding."""


class _RopeOfLayers(TypedDict, total=False):
    """Rotary positions of all layers, or of those of one kind."""

    type: Text | None
    rope_type: Text | None
    rope_theta: Positive | None
    factor: Positive | None
    low_freq_factor: Positive | None
    high_freq_factor: Positive | None
    original_max_position_embeddings: ContextLength | None
    partial_rotary_factor: Share | None
    attention_factor: Positive | None
    attn_factor: Positive | None
    extrapolation_factor: Annotated[float, Field(strict=True, ge=0, le=1e30)] | None
    beta_fast: Positive | None
    beta_slow: Positive | None
    long_factor: list[Positive] | None
    short_factor: list[Positive] | None


class _Rope(_RopeOfLayers, total=False):
    full_attention: _RopeOfLayers
    sliding_attention: _RopeOfLayers


class _AnyConfig(TypedDict, total=False):
    """The keys that are read whatever the architecture."""

    architectures: list[Text] | None
    hidden_size: Size | None
    num_attention_heads: Size | None
    num_key_value_heads: Size | None
    head_dim: Size | None
    vocab_size: Size | None
    max_position_embeddings: Size | None
    rope_scaling: _Rope | None
    rope_parameters: _Rope | None
    vision_config: dict[Text, Any] | None
    text_config: dict[Text, Any] | None
    tie_word_embeddings: Switch | None
    bos_token_id: TokenIds
    eos_token_id: TokenIds
    unk_token_id: TokenIds
    sep_token_id: TokenIds
    cls_token_id: TokenIds
    mask_token_id: TokenIds
    pad_token_id: PaddingId


class _ModelConfig(_AnyConfig, total=False):
    """The keys that built-in architectures read."""

    model_type: Text | None
    num_hidden_layers: Size | None
    intermediate_size: Size | None
    moe_intermediate_size: Size | None
    num_local_experts: Count | None
    num_experts: Count | None
    num_experts_per_tok: Count | None
    decoder_sparse_step: Size | None
    mlp_only_layers: list[Count] | None
    norm_topk_prob: Switch | None
    attention_bias: Switch | None
    mlp_bias: Switch | None
    hidden_act: Text | None
    hidden_activation: Text | None
    rms_norm_eps: Positive | None
    rope_theta: Positive | None
    rope_local_base_freq: Positive | None
    partial_rotary_factor: Share | None
    original_max_position_embeddings: ContextLength | None
    sliding_window: Count | None
    sliding_window_pattern: Size | None
    use_sliding_window: Switch | None
    layer_types: list[Text] | None
    no_rope_layers: list[Count] | None
    no_rope_layer_interval: Size | None
    attn_logit_softcapping: Positive | None
    final_logit_softcapping: Positive | None
    query_pre_attn_scalar: Positive | None
    attention_multiplier: Positive | None
    embedding_multiplier: Positive | None
    residual_multiplier: Positive | None
    logits_scaling: Positive | None
    global_head_dim: Size | None
    num_global_key_value_heads: Size | None
    num_kv_shared_layers: Count | None
    attention_k_eq_v: Switch | None
    use_double_wide_mlp: Switch | None
    enable_moe_block: Switch | None
    use_bidirectional_attention: Text | Switch | None
    hidden_size_per_layer_input: Count | None
    vocab_size_per_layer_input: Size | None
    per_layer_config: dict[Text, dict[Text, Any]] | None


_Sampling = Annotated[float, Field(strict=True, ge=0, le=1e9)]
_Probability = Annotated[float, Field(strict=True, ge=0, le=1)]


class _Generation(TypedDict, total=False):
    """Sampling defaults, which go into a GGUF or a Modelfile, and where an answer ends."""

    top_k: Annotated[int, Field(strict=True, ge=-(1 << 31), lt=1 << 31)] | None
    top_p: _Probability | None
    min_p: _Probability | None
    temperature: _Sampling | None
    penalty_repeat: _Sampling | None
    repetition_penalty: _Sampling | None
    bos_token_id: TokenIds
    eos_token_id: TokenIds
    pad_token_id: PaddingId


ANY_CONFIG: TypeAdapter[Any] = TypeAdapter(_AnyConfig)
MODEL_CONFIG: TypeAdapter[Any] = TypeAdapter(_ModelConfig)
GENERATION: TypeAdapter[Any] = TypeAdapter(_Generation)


def positive_size(
    config: Mapping[str, Any], key: str, where: str | Path, default: int | None = None
) -> int:
    """Return a size that a `config.json` names.

    Args:
        default: Size where the key is missing; None where it has to be there.

    Raises:
        CheckpointError: It is missing, or not a positive whole number.
    """
    value = config.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise CheckpointError(state_of(key, value), where=where, expected="a positive whole number")
    return value
