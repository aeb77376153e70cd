"""Rotary positions: settings, and the factors that are stored."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.parents import make_config

from mergesearch.errors import CheckpointError
from mergesearch.gguf import ROPE_FACTORS, extra_tensors, layout_of
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


def test_attention_of_long_contexts_is_scaled_by_its_length() -> None:
    """`sqrt(1 + ln(scale) / ln(original))`, or YaRN's `0.1 ln(scale) + 1`."""
    assert longrope_factor({"rope_type": "longrope"}, 32.0, 4096) == pytest.approx(1.190238)
    assert longrope_factor({"rope_type": "su"}, 1.0, 4096) == 1.0
    assert longrope_factor({"rope_type": "yarn"}, 32.0, 4096) == pytest.approx(1.346574)
    with pytest.raises(CheckpointError, match="rope_type 'linear' with long_factor"):
        longrope_factor({"rope_type": "linear"}, 2.0, 4096)
