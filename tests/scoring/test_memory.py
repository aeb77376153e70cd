from __future__ import annotations

import pytest

from mergesearch.errors import ObjectivesError
from mergesearch.machine import available_memory
from mergesearch.scoring.engine.memory import check_fits, kv_bytes


def test_a_token_takes_keys_and_values_of_all_layers():
    # Qwen2.5-14B: 48 layers, 8 key-value heads of 128: 192 KiB a token in f16.
    wide = {"layers": 48, "heads": 8, "key_width": 128, "value_width": 128}
    assert kv_bytes(**wide, kv_type="f16") == 196_608
    assert kv_bytes(**wide, kv_type="f32") == 393_216
    assert kv_bytes(**wide, kv_type="q8_0") == 104_448  # 34 bytes for 32 values


def test_what_fits_is_let_through():
    check_fits(32, 1024, 100, 1, 3_800_000)  # 33 sequences: 3.38 MB of 3.42


def test_the_n_parallel_that_fits_is_named():
    with pytest.raises(ObjectivesError) as caught:
        check_fits(32, 2048, 196_608, 1, 8_000_000_000)
    assert "of 2048 tokens and a shared one takes 13.3 GB, and 8.0 GB are free" in str(caught.value)
    assert "expected: at most 16" in str(caught.value)
    check_fits(16, 2048, 196_608, 1, 8_000_000_000)


def test_where_not_one_fits_the_context_is_to_shrink():
    with pytest.raises(ObjectivesError, match=r"lower runtime\.n_ctx"):
        check_fits(1, 131_072, 196_608, 1, 8_000_000_000)


def test_this_machine_has_some_memory():
    assert (available_memory() or 0) > 100_000_000
