"""Adapters against PEFT itself: what it saves, we read; what it merges, we add."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.parents import make_parent
from transformers import AutoModelForCausalLM

from mergesearch.parents import open_checkpoint

pytestmark = pytest.mark.mergekit

ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
CASES: dict[str, dict[str, Any]] = {
    "plain": {"target_modules": ALL},
    "rank-stabilised": {"target_modules": ALL, "use_rslora": True, "lora_alpha": 7},
    "patterns": {
        "target_modules": ALL,
        "rank_pattern": {"down_proj": 2, r"layers\.1\.self_attn\.q_proj": 3},
        "alpha_pattern": {"mlp.up_proj": 5, "^model.layers.0.self_attn.v_proj": 11, "o_proj": 1},
    },
    "a regular expression": {"target_modules": r".*layers\.1\..*(q|v)_proj"},
    "one layer": {"target_modules": ["up_proj"], "layers_to_transform": [1]},
    "embedding and head": {"target_modules": ["embed_tokens", "lm_head", "q_proj"]},
    "whole tensors": {"target_modules": ["k_proj"], "modules_to_save": ["lm_head", "norm"]},
    "whole embedding": {"target_modules": ["k_proj"], "modules_to_save": ["embed_tokens"]},
    "fan_in_fan_out": {"target_modules": ["q_proj", "down_proj"], "fan_in_fan_out": True},
    "DoRA": {"target_modules": ALL, "use_dora": True},
    "DoRA, rank-stabilised": {"target_modules": ["q_proj"], "use_dora": True, "use_rslora": True},
    "biases": {"target_modules": ["q_proj", "k_proj"], "bias": "all"},
}


@pytest.fixture(scope="module")
def peft() -> Any:
    return pytest.importorskip("peft")


@pytest.mark.parametrize(
    ("arch", "case"),
    [*(("llama", case) for case in CASES), ("qwen2", "plain"), ("qwen2", "biases")],
)
def test_equals_merge_and_unload(case: str, arch: str, peft: Any, tmp_path: Path) -> None:
    """Every tensor of the merged model is ours to 1e-6 of its largest value."""
    base = make_parent(tmp_path / "base", 2, arch=arch, dtype=torch.float32, tokenizer=None)
    model = peft.get_peft_model(
        AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32),
        peft.LoraConfig(task_type="CAUSAL_LM", r=4, **CASES[case]),
    )
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.normal_(generator=generator)
    model.save_pretrained(tmp_path / "lora")
    adapted = open_checkpoint(f"{base}+{tmp_path / 'lora'}")
    plain = open_checkpoint(str(base))
    merged = model.merge_and_unload().state_dict()
    assert set(merged) == set(adapted.tensors)
    changed = 0
    for name, expected in merged.items():
        rows = expected.shape[0] if expected.dim() == 2 else 1
        found = adapted.rows(name, 0, rows).reshape(expected.shape)
        scale = expected.abs().max().item() or 1.0
        assert np.abs(found - expected.numpy()).max() <= 1e-6 * scale, name
        changed += not np.array_equal(found, plain.rows(name, 0, rows).reshape(found.shape))
    assert changed >= 1


@pytest.mark.parametrize("module", ["embed_tokens", "lm_head"])
def test_untied_equals_the_unmerged_model(module: str, peft: Any, tmp_path: Path) -> None:
    """An adapter on one side of a tied pair computes what PEFT's unmerged model computes."""
    base = make_parent(
        tmp_path / "base", 2, dtype=torch.float32, tokenizer=None, tie_word_embeddings=True
    )
    model = peft.get_peft_model(
        AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32),
        peft.LoraConfig(task_type="CAUSAL_LM", r=4, target_modules=[module]),
    )
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.normal_(generator=torch.Generator().manual_seed(1))
    model.save_pretrained(tmp_path / "lora")
    adapted = open_checkpoint(f"{base}+{tmp_path / 'lora'}")
    ids = torch.tensor([[5, 77, 300, 12]])
    with torch.no_grad():
        expected = model(ids).logits
        untied = AutoModelForCausalLM.from_config(
            model.config.__class__.from_dict(dict(adapted.config)), dtype=torch.float32
        )
        untied.load_state_dict(
            {
                name: torch.from_numpy(
                    adapted.rows(name, 0, info.shape[0] if len(info.shape) == 2 else 1)
                ).reshape(info.shape)
                for name, info in adapted.tensors.items()
            }
        )
        found = untied.eval()(ids).logits
    assert (found - expected).abs().max() < 1e-4 * expected.abs().max()
