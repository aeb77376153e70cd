"""What a run takes of memory, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from mergesearch._system.spare import Spare
from mergesearch.errors import InputError
from mergesearch.gguf import layout_of
from mergesearch.gguf.layout import found_layout
from mergesearch.objectives import Runtime
from mergesearch.recipe import Recipe
from mergesearch.runs.budget import (
    Workload,
    builds_ahead,
    check_budget,
    mask_bytes,
    shape_of,
    share_out,
    spare_memory,
)
from mergesearch.scoring.memory import ModelSizes

QWEN_14B = ModelSizes(
    layers=48,
    heads=40,
    kv_heads=8,
    head_width=128,
    hidden=5120,
    vocabulary=152064,
    context=131072,
)
CONFIG = {
    "architectures": ["Qwen2ForCausalLM"],
    "num_hidden_layers": 48,
    "num_attention_heads": 40,
    "num_key_value_heads": 8,
    "hidden_size": 5120,
    "intermediate_size": 13824,
    "vocab_size": 152064,
    "max_position_embeddings": 131072,
}
GPU = Runtime(n_gpu_layers=49)


def work(runtime: Runtime | None = None, **changes: int) -> Workload:
    parts = {"size": 8_990_000_000, "threads": 8, "cores": 8} | changes
    return Workload(shape=QWEN_14B, runtime=runtime, **parts)


def test_a_run_on_a_processor_takes_the_candidate_twice_and_its_caches():
    assert work(Runtime()).parts() == {
        "the candidate": 8_990_000_000,
        "llama.cpp's repacked copy of it": 8_990_000_000,
        # 192 KiB a token, 33 sequences of 1024 tokens and one pack of 2048
        "KV caches": 196_608 * (33 * 1024 + 2048),
        # 64 MiB of logits; twice 512 x (logits and 8 hidden states), and both masks
        "buffers of scoring": 2**26 + 4 * 512 * (2 * (152064 + 8 * 5120) + 1024 + 2048),
        "buffers of building": 8 * 32 * 2**20,
        "Python with its libraries": 600_000_000,
    }


def test_what_is_only_built_takes_the_candidate_and_buffers():
    assert work().parts() == {
        "the candidate": 8_990_000_000,
        "buffers of building": 8 * 32 * 2**20,
        "Python with its libraries": 300_000_000,
    }


def test_masks_of_two_tensors_are_counted_where_a_method_keeps_them():
    assert work(masks=32_000_000).parts()["masks of sparse deltas"] == 32_000_000
    assert "masks of sparse deltas" not in work().parts()
    models = [{"model": name, "parameters": {"density": 0.5, "weight": 1}} for name in "ab"]
    stage = {"name": "mix", "merge_method": "della", "base_model": "c", "models": models}
    linear = [{"model": name, "parameters": {"weight": 1}} for name in ("mix", "a")]
    last = {"merge_method": "linear", "models": linear}
    recipe = Recipe.from_dict(last | {"stages": [stage]})
    assert mask_bytes(recipe, 1001) == 2 * 2 * 126
    assert mask_bytes(recipe, 1 << 40) == 2 * 2 * (1 << 24)
    without = Recipe.from_dict({"merge_method": "linear", "models": linear})
    assert mask_bytes(without, 1001) == 0


def test_half_of_what_a_run_leaves_may_keep_what_is_needed_again():
    assert spare_memory(work(), work().total + 3_000_000) == 1_500_000
    assert spare_memory(work(), work().total - 1) == 0
    assert spare_memory(work(), None) == 0
    ahead = work(GPU)
    assert spare_memory(ahead, ahead.total + ahead.size + 4_000_000) == 2_000_000


def test_a_workshop_is_told_what_it_may_keep():
    workshop = SimpleNamespace(spare=Spare(10**15))
    assert share_out(work().total + 3_000_000, work(), workshop) == work().total + 3_000_000
    assert workshop.spare.memory == 1_500_000
    with pytest.raises(InputError, match="of memory"):
        share_out(work().total - 1, work(), workshop)


def test_a_gpu_holds_weights_and_caches_itself():
    parts = work(GPU).parts()
    assert "KV caches" not in parts
    assert "llama.cpp's repacked copy of it" not in parts
    assert parts["the candidate"] == 8_990_000_000


def test_what_fits_is_let_through_and_the_sum_is_the_limit():
    one = work(Runtime())
    assert one.total == sum(one.parts().values())
    check_budget(one, one.total)
    check_budget(one, None)
    with pytest.raises(InputError, match="this takes up to"):
        check_budget(one, one.total - 1)


def test_a_refusal_names_every_part_and_what_would_fit():
    with pytest.raises(InputError) as caught:
        check_budget(work(Runtime()), 24_000_000_000)
    assert str(caught.value).splitlines() == [
        "--memory: this takes up to 26.8 GB of memory, and 24.0 GB is allowed: the candidate"
        " 9.0 GB, llama.cpp's repacked copy of it 9.0 GB, KV caches 7.1 GB, buffers of scoring"
        " 865 MB, buffers of building 269 MB, Python with its libraries 600 MB",
        "  expected: at least 26.8 GB",
        "  to do: set runtime: {n_parallel: 18}; or set kv_type: q8_0 with"
        " flash_attention: true; or lower runtime.n_ctx to what the items need;"
        " or name a larger --memory",
    ]
    with pytest.raises(
        InputError, match=r"^this takes up to 26\.8 GB of memory, and 24\.0 GB is free"
    ) as caught:
        check_budget(work(Runtime()), 24_000_000_000, named=False)
    assert str(caught.value).endswith(
        "what the items need; or end other programs, or use a machine or job with more memory"
    )
    assert "--memory" not in str(caught.value)
    check_budget(work(Runtime(n_parallel=18)), 24_000_000_000)
    with pytest.raises(InputError):
        check_budget(work(Runtime(n_parallel=19)), 24_000_000_000)
    check_budget(work(Runtime(kv_type="q8_0", flash_attention=True)), 24_000_000_000)


def test_where_no_runtime_helps_the_mix_has_to():
    with pytest.raises(
        InputError, match="to do: choose a smaller mix, such as quantize: Q4_0; or name"
    ) as caught:
        check_budget(work(Runtime()), 16_000_000_000)
    assert "runtime" not in str(caught.value)
    with pytest.raises(InputError, match="to do: choose a smaller mix"):
        check_budget(work(), 8_000_000_000)


def test_the_next_is_built_ahead_beside_a_gpu_if_a_second_candidate_fits():
    twice = work(GPU).total + 8_990_000_000
    assert builds_ahead(work(GPU), twice)
    assert not builds_ahead(work(GPU), twice - 1)
    assert builds_ahead(work(GPU), None)
    assert not builds_ahead(work(Runtime()), None)
    assert not builds_ahead(work(), None)


def test_the_shape_of_a_model_is_its_configs():
    assert shape_of(layout_of(CONFIG, "config.json"), CONFIG) == QWEN_14B


def test_the_shape_of_an_architecture_that_is_not_built_in_is_what_its_config_names():
    found = {f"model.layers.{layer}.x.weight": (4, 4) for layer in range(48)}
    assert shape_of(found_layout(CONFIG, found), CONFIG) == QWEN_14B
    silent = found_layout({}, found)
    assert shape_of(silent, {}) == ModelSizes(48, 0, 0, 0, 0, 0)
    one = replace(work(Runtime()), shape=shape_of(silent, {}))
    assert "KV caches" not in one.parts()
