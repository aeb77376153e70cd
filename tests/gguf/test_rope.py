"""Rotary positions: settings, and the factors that are stored."""

from __future__ import annotations

import numpy as np
from helpers.parents import make_config

from mergesearch.gguf import ROPE_FACTORS, extra_tensors, layout_of

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
