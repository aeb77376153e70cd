"""The layout that a `config.json` describes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mergesearch._system.documents import state_of
from mergesearch.errors import CheckpointError
from mergesearch.gguf import gemma4
from mergesearch.gguf.architectures import ARCHITECTURES, unsupported
from mergesearch.gguf.documents import positive_size
from mergesearch.gguf.family import NOT_BUILT_IN, Family, completed
from mergesearch.gguf.layout import BuiltInLayout


def layout_of(config: Mapping[str, Any], where: str | Path) -> BuiltInLayout:
    """Read the sizes out of a `config.json`.

    Raises:
        CheckpointError: The architecture is not built in, a size is missing or not positive, or
            there are tensors for which llama.cpp has no place.
    """
    name = (config.get("architectures") or [None])[0]
    if name not in ARCHITECTURES:
        raise unsupported(name, where, ARCHITECTURES, NOT_BUILT_IN)
    family = ARCHITECTURES[name]
    config = completed(config, family)
    n_heads = positive_size(config, "num_attention_heads", where)
    n_kv_heads = positive_size(config, "num_key_value_heads", where, n_heads)
    hidden = positive_size(config, "hidden_size", where)
    head_dim = positive_size(config, "head_dim", where, hidden // n_heads)
    attention_bias = bool(config.get("attention_bias", False))
    mlp_bias = bool(config.get("mlp_bias", False))
    tied = bool(config.get("tie_word_embeddings", False))
    for unplaced, what in (
        (attention_bias and not family.biased, "attention_bias"),
        (mlp_bias and not family.biased, "mlp_bias"),
        (family.always_tied and not tied, "a head apart from the embedding"),
        (family.always_apart and tied, "a head that is the embedding"),
    ):
        if unplaced:
            raise CheckpointError(f"llama.cpp's {name} has no place for {what}", where=where)
    _check_heads(n_heads, n_kv_heads, head_dim, where)
    key, *known = family.activation
    if config.get(key, known[0]) not in known:
        raise CheckpointError(state_of(key, config[key]), where=where, expected=" or ".join(known))
    kinds = _kinds(config, family, where)
    biases = {
        "qkv": attention_bias if family.qkv_bias is None else family.qkv_bias,
        "output": attention_bias and family.output_bias,
        "mlp": mlp_bias,
    }
    return BuiltInLayout(
        family=family,
        n_layers=positive_size(config, "num_hidden_layers", where),
        hidden=hidden,
        feed_forward=positive_size(config, family.inner, where),
        n_heads=n_heads,
        n_kv_heads=n_kv_heads,
        head_dim=head_dim,
        vocab_rows=positive_size(config, "vocab_size", where),
        tied=tied,
        biases=frozenset(bias for bias, there in biases.items() if there),
        kinds=kinds,
        own_sizes=_own_sizes(config, family, kinds, where),
        **_expert_sizes(config, family, where),
    )


def _kinds(config: Mapping[str, Any], family: Family, where: str | Path) -> tuple[str, ...]:
    """The kind of each layer, where they have tensors of their own."""
    if not family.kinds:
        return ()
    n_layers = positive_size(config, "num_hidden_layers", where)
    known = tuple(family.kinds)[:2]
    kinds = config.get("layer_types") or [known[full] for full in family.attending_to_all(n_layers)]
    if len(kinds) != n_layers or not set(kinds) <= {*known}:
        raise CheckpointError(
            "layer_types does not have one kind of layer after the other",
            where=where,
            expected=f"{n_layers} times one of {', '.join(known)}",
        )
    return gemma4.layer_kinds(kinds, config, where) if family.shares_keys else tuple(kinds)


def _own_sizes(
    config: Mapping[str, Any], family: Family, kinds: Sequence[str], where: str | Path
) -> dict[str, dict[str, int]]:
    """Sizes that not all families have, by the kind of the layers that they are for."""
    if family.shares_keys:
        return gemma4.sizes_by_kind(config, where)
    if "linear_attention" not in kinds:
        return {}
    key_heads = positive_size(config, "linear_num_key_heads", where)
    heads = positive_size(config, "linear_num_value_heads", where)
    key_head = positive_size(config, "linear_key_head_dim", where)
    head = positive_size(config, "linear_value_head_dim", where)
    sizes = {
        "linear key heads": key_heads,
        "linear key head": key_head,
        "linear heads": heads,
        "linear head": head,
        "linear values": heads * head,
        "linear qkv": 2 * key_heads * key_head + heads * head,
        "kernel": positive_size(config, "linear_conv_kernel_dim", where),
        "one": 1,
    }
    return {"": sizes}


def _check_heads(n_heads: int, n_kv_heads: int, head_dim: int, where: str | Path) -> None:
    """Refuse heads with which llama.cpp does not compute."""
    if n_heads % n_kv_heads:
        raise CheckpointError(
            f"{n_heads} attention heads share {n_kv_heads} heads of keys and values",
            where=where,
            expected="a multiple",
        )
    if head_dim % 2:
        raise CheckpointError(
            f"heads of {head_dim} rows", where=where, expected="pairs, for rotary positions"
        )


def _expert_sizes(config: Mapping[str, Any], family: Family, where: str | Path) -> dict[str, int]:
    if family.experts is None:
        return {}
    counts = family.experts.counts
    count = next((key for key in counts if config.get(key) is not None), counts[0])
    n_experts = positive_size(config, count, where)
    used = positive_size(config, "num_experts_per_tok", where)
    if used > n_experts:
        raise CheckpointError(f"{used} of {n_experts} experts are used", where=where)
    return {
        "n_experts": n_experts,
        "expert_feed_forward": positive_size(config, family.experts.inner, where),
    }
