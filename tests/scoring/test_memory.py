from __future__ import annotations

from dataclasses import replace

import pytest

from mergesearch._system.machine import available_memory
from mergesearch.errors import ObjectivesError
from mergesearch.objectives import Runtime
from mergesearch.scoring.memory import (
    ModelSizes,
    ScoringMemory,
    check_fits,
    kv_bytes,
    n_decoders,
    scoring_memory,
)


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
    assert "of 2048 tokens and a shared one takes 13.3 GB, and 8.0 GB is free" in str(caught.value)
    assert "expected: at most 16" in str(caught.value)
    check_fits(16, 2048, 196_608, 1, 8_000_000_000)


def test_where_not_one_fits_the_context_is_to_shrink():
    with pytest.raises(ObjectivesError, match=r"lower runtime\.n_ctx"):
        check_fits(1, 131_072, 196_608, 1, 8_000_000_000)


def test_this_machine_has_some_memory():
    assert (available_memory() or 0) > 100_000_000


SMALL = ModelSizes(layers=6, heads=4, kv_heads=2, head_width=64, hidden=256, vocabulary=1024)


def test_a_small_model_has_a_decoder_a_thread_and_a_large_one_has_one():
    assert n_decoders(1 << 28, Runtime(), 16) == 16
    assert n_decoders(1 << 28, Runtime(threads=3), 16) == 3
    assert n_decoders((1 << 28) + 1, Runtime(), 16) == 1
    assert n_decoders(1 << 20, Runtime(n_gpu_layers=1), 16) == 1


def test_every_decoder_has_caches_and_buffers_of_its_own():
    # 3072 bytes a token: 9 sequences of 300 cells, rounded to 512, and one pack of 1024.
    runtime = Runtime(n_ctx=300, n_parallel=8, n_batch=256)
    alone = scoring_memory(1000, SMALL, runtime, 1)
    assert alone == ScoringMemory(
        repacked=1000,
        kv=3072 * (9 * 512 + 1024),
        # flash attention is off: 4 heads x cells, where that is more than the vocabulary
        buffers=4 * 256 * 1024 + 4 * 256 * (2 * 8 * 256 + 512 + 1024 + 2048 + 4096),
    )
    both = scoring_memory(1000, SMALL, runtime, 2)
    assert (both.repacked, both.kv, both.buffers) == (1000, 2 * alone.kv, 2 * alone.buffers)


def test_a_context_is_no_longer_than_the_model_was_made_for():
    short = scoring_memory(1000, replace(SMALL, context=256), Runtime(n_ctx=4096), 1)
    assert short == scoring_memory(1000, SMALL, Runtime(n_ctx=256), 1)


def test_layers_on_a_gpu_take_no_main_memory():
    def taken(n_gpu_layers: int) -> tuple[int, int]:
        one = scoring_memory(1200, SMALL, Runtime(n_gpu_layers=n_gpu_layers, n_ctx=256), 1)
        return one.repacked, one.kv

    assert taken(4) == (600, 3 * 512 * (33 * 256 + 512))  # the head is the first to go there
    assert taken(7) == taken(99) == (0, 0)
