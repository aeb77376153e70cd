"""Rotary positions: settings, and the factors that are stored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.parents import make_config

from mergesearch.errors import CheckpointError
from mergesearch.gguf import ROPE_FACTORS, check_rope_type, extra_tensors, layout_of
from mergesearch.gguf.rope import longrope_factor

LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}


def test_rope_factors_of_llama3() -> None:
    """High frequencies stay, low ones are slowed eightfold, the passage rises between."""
    config = make_config("llama", rope_parameters=LLAMA3)
    factors = extra_tensors(layout_of(config, "test"), config)[ROPE_FACTORS]
    assert factors.dtype == np.float32
    assert factors.shape == (8,)
    assert factors[0] == 1.0
    assert factors[-4:].tolist() == [8.0] * 4
    assert (np.diff(factors) >= 0).all()
    assert extra_tensors(layout_of(make_config("llama"), "test"), make_config("llama")) == {}


@pytest.mark.parametrize(
    ("arch", "kind"),
    [
        *(("qwen2", kind) for kind in ("YARN", "Linear", "DEFAULT")),
        *(
            ("llama", "LLAMA3"),
            ("phi3", "LongRope"),
            ("phi3", "linear"),
            ("gemma4_text", "default"),
        ),
    ],
)
@pytest.mark.parametrize("factor", [{}, {"factor": 4.0}])
def test_a_type_in_other_capitals_is_another_type(
    arch: str, kind: str, factor: dict[str, float]
) -> None:
    """As for transformers; llama.cpp's converter would drop most of these with a warning."""
    config = make_config(arch, rope_parameters={"rope_type": kind} | factor)
    layout = layout_of(config, "test")
    with pytest.raises(CheckpointError, match=f"rope_type '{kind}' of "):
        check_rope_type(layout, config, Path("config.json"))


@pytest.mark.parametrize("kind", ["linear", "yarn"])
def test_what_stretches_needs_a_factor(kind: str) -> None:
    for settings in ({"rope_type": kind}, {"type": kind, "factor": None}):
        config = make_config("qwen2", rope_scaling=settings)
        with pytest.raises(CheckpointError, match=f"rope_type '{kind}' needs `factor`"):
            check_rope_type(layout_of(config, "test"), config, Path("config.json"))
    whole = make_config("qwen2", rope_scaling={"type": kind, "factor": 4.0})
    check_rope_type(layout_of(whole, "test"), whole, Path("config.json"))


def test_attention_of_long_contexts_is_scaled_by_its_length() -> None:
    """`sqrt(1 + ln(scale) / ln(original))`, or YaRN's `0.1 ln(scale) + 1`."""
    assert longrope_factor({"rope_type": "longrope"}, 32.0, 4096) == pytest.approx(1.190238)
    assert longrope_factor({"rope_type": "su"}, 1.0, 4096) == 1.0
    assert longrope_factor({"rope_type": "yarn"}, 32.0, 4096) == pytest.approx(1.346574)
    with pytest.raises(CheckpointError, match="rope_type 'linear' with long_factor"):
        longrope_factor({"rope_type": "linear"}, 2.0, 4096)
