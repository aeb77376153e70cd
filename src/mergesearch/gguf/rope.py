"""Rotary positions: the settings of a config.json, and the factors that GGUF holds as tensors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np

from mergesearch._kernels.stored import Float
from mergesearch.errors import CheckpointError
from mergesearch.gguf import gemma4
from mergesearch.gguf.family import STRETCHED, completed
from mergesearch.gguf.layout import BuiltInLayout

ROPE_FACTORS = "rope_freqs.weight"
LONG_FACTORS, SHORT_FACTORS = "rope_factors_long.weight", "rope_factors_short.weight"
CONSTANTS = (ROPE_FACTORS, LONG_FACTORS, SHORT_FACTORS)
"""Vectors of a GGUF that follow from the config.json, not from weights."""

_BESIDE = ("rope_theta", "original_max_position_embeddings", "partial_rotary_factor")


def rope_parameters(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the rotary settings of a `config.json`, old keys and new ones read alike."""
    found = dict(config.get("rope_parameters") or config.get("rope_scaling") or {})
    found = dict(found.get("full_attention", found))
    found = {key: value for key, value in found.items() if value is not None}
    if "rope_type" not in found and "type" in found:
        found["rope_type"] = found["type"]
    for key in _BESIDE:
        if key not in found and config.get(key) is not None:
            found[key] = config[key]
    return found


def check_rope_type(layout: BuiltInLayout, config: Mapping[str, Any], where: Path) -> None:
    """Refuse rotary positions that llama.cpp does not compute in this architecture.

    Raises:
        CheckpointError: Their type is unknown, also where it is written with other capitals (to
            `transformers` that is another type), or lacks its factor.
    """
    rope = rope_parameters(completed(config, layout.family))
    kind, known = rope.get("rope_type", "default"), layout.family.rope_types
    if kind not in known:
        raise CheckpointError(
            f"rope_type {kind!r} of {layout.title}", where=where, expected=", ".join(known)
        )
    if kind in STRETCHED and "factor" not in rope and not rope.get("long_factor"):
        raise CheckpointError(f"rope_type {kind!r} needs `factor`", where=where)


def window_theta(config: Mapping[str, Any]) -> float | None:
    """Return the rotary base of the layers with a window, None where it is the same for all."""
    found = (config.get("rope_parameters") or {}).get("sliding_attention") or {}
    theta = found.get("rope_theta", config.get("rope_local_base_freq"))
    return None if theta is None else float(theta)


def longrope_factor(rope: Mapping[str, Any], scale: float, original: int) -> float:
    """Return what attention is scaled by in contexts beyond the original one (`conversion/phi.py`).

    Args:
        rope: Rotary settings, which have a `long_factor`.
        scale: Length of the context by that of the original one.
        original: Tokens of the original context.

    Raises:
        CheckpointError: The settings are of another type.
    """
    kind = rope.get("rope_type")
    if kind not in ("su", "longrope", "yarn"):
        raise CheckpointError(
            f"rope_type {kind!r} with long_factor",
            where="config.json",
            expected="longrope, su or yarn",
        )
    if scale <= 1.0:
        return 1.0
    if kind == "yarn":
        return 0.1 * math.log(scale) + 1.0
    return math.sqrt(1 + math.log(scale) / math.log(original))


def extra_tensors(layout: BuiltInLayout, config: Mapping[str, Any]) -> dict[str, Float]:
    """Return what a GGUF holds beside the weights, by name; all are vectors."""
    config = completed(config, layout.family)
    rope = rope_parameters(config)
    if layout.arch == gguf.MODEL_ARCH.GEMMA4:
        return {ROPE_FACTORS: gemma4.rope_factors(rope, config)}
    if layout.arch == gguf.MODEL_ARCH.PHI3 and rope.get("long_factor"):
        if len(rope.get("short_factor", ())) != len(rope["long_factor"]):
            raise CheckpointError(
                "long_factor and short_factor differ in length",
                where=f"config.json of {layout.title}",
            )
        pairs = ((LONG_FACTORS, "long_factor"), (SHORT_FACTORS, "short_factor"))
        return {name: np.array(rope[key], dtype=np.float32) for name, key in pairs}
    if rope.get("rope_type") == "llama3" and "llama3" in layout.family.rope_types:
        return {ROPE_FACTORS: _llama3_factors(layout.head_dim, rope)}
    return {}


def _llama3_factors(head_dim: int, rope: Mapping[str, Any]) -> Float:
    """Factors of Llama 3's rope scaling, shape `(head_dim / 2,)`.

    Wavelengths up to `original / high_freq_factor` keep their frequency, those beyond
    `original / low_freq_factor` are slowed by `factor`, with a smooth passage between
    (`conversion/llama.py`, `generate_extra_tensors`).
    """
    factor = rope.get("factor", 8.0)
    low, high = rope.get("low_freq_factor", 1.0), rope.get("high_freq_factor", 4.0)
    original = rope.get("original_max_position_embeddings", 8192)
    if high <= low:
        raise CheckpointError(
            f"high_freq_factor is {high:g}",
            where="config.json",
            expected=f"above {low:g}, the lower one",
        )
    exponents = np.arange(0, head_dim, 2, dtype=np.float32) / np.float32(head_dim)
    theta = np.float32(rope.get("rope_theta", 10000.0))
    wavelengths = np.float32(2 * math.pi) / (np.float32(1.0) / np.power(theta, exponents))
    smooth = (np.float32(original) / wavelengths - np.float32(low)) / np.float32(high - low)
    factors = 1 / ((1 - smooth) / np.float32(factor) + smooth)
    factors[wavelengths < original / high] = 1.0
    factors[wavelengths > original / low] = factor
    return factors.astype(np.float32)
