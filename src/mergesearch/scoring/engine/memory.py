"""Whether KV caches fit in memory, said before they are made."""

from __future__ import annotations

from mergesearch.errors import ObjectivesError

_BYTES = {"f16": 2.0, "f32": 4.0, "q8_0": 34 / 32}  # ggml/src/ggml-common.h, block_q8_0
_SHARE = 0.9  # of the memory that is free; the rest is for logits and compute buffers


def kv_bytes(*, layers: int, heads: int, key_width: int, value_width: int, kv_type: str) -> int:
    """Return the bytes that one token takes in the KV cache of a transformer.

    Args:
        layers: that have attention.
        heads: key-value heads of a layer.
        key_width: values of one head's key.
        value_width: values of one head's value.
        kv_type: of the cache: f16, f32 or q8_0.
    """
    return int(layers * heads * (key_width + value_width) * _BYTES[kv_type])


def check_fits(n_parallel: int, cells: int, cell_bytes: int, workers: int, available: int) -> None:
    """Refuse KV caches larger than `available` bytes.

    Args:
        n_parallel: sequences decoded together.
        cells: tokens each of them may have.
        cell_bytes: of one token.
        workers: that each have a cache.
        available: bytes that are free.

    Raises:
        ObjectivesError: naming the `n_parallel` that would fit.
    """
    one = cells * cell_bytes * workers
    sequences = n_parallel + 1  # one for what prompts share
    if sequences * one <= _SHARE * available:
        return
    fitting = max(0, int(_SHARE * available // one) - 1)
    raise ObjectivesError(
        f"the KV cache of {n_parallel} sequences of {cells} tokens and a shared one takes "
        f"{sequences * one / 1e9:.1f} GB{f' in {workers} workers' if workers > 1 else ''}, "
        f"and {available / 1e9:.1f} GB are free",
        where="runtime.n_parallel",
        expected=f"at most {fitting}" if fitting else "less than even one sequence takes",
        fix=f"set runtime: {{n_parallel: {fitting}}}, or kv_type: q8_0"
        if fitting
        else "lower runtime.n_ctx, or set kv_type: q8_0",
    )
