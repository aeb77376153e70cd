"""Tiny random PEFT adapters, written as files without PEFT."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from mergesearch.gguf import EMBEDDING, layout_of

PREFIX = "base_model.model."
PROJECTIONS = ("self_attn.q_proj", "self_attn.v_proj", "mlp.down_proj")


def make_pair(shape: tuple[int, int], rank: int, seed: int, embedding: bool = False) -> Any:
    """The factors A and B of one module as PEFT stores them, by the end of their name."""
    numbers = np.random.default_rng(seed)
    rows, cols = shape[::-1] if embedding else shape
    a = numbers.standard_normal((rank, cols)).astype(np.float32)
    b = numbers.standard_normal((rows, rank)).astype(np.float32)
    return (
        {"lora_embedding_A": a, "lora_embedding_B": b}
        if embedding
        else {
            "lora_A.weight": a,
            "lora_B.weight": b,
        }
    )


def make_tensors(
    config: dict[str, Any], modules: Iterable[str] = PROJECTIONS, rank: int = 4
) -> dict[str, np.ndarray[Any, Any]]:
    """Factors for every layer's modules of these names, by PEFT's names."""
    tensors = {}
    wanted = tuple(f"{module}.weight" for module in modules)
    for seed, (name, shape) in enumerate(layout_of(config, "test").tensor_shapes().items()):
        if name.endswith(wanted):
            assert len(shape) == 2
            pair = make_pair(shape, rank, seed, embedding=name == EMBEDDING)
            module = name.removesuffix(".weight")
            tensors |= {f"{PREFIX}{module}.{key}": values for key, values in pair.items()}
    return tensors


def write_adapter(folder: Path, tensors: dict[str, Any], **changes: Any) -> Path:
    """Write an adapter's folder and return it; `changes` go into its config."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "peft_type": "LORA",
        "base_model_name_or_path": "somewhere/else",
        "r": 4,
        "lora_alpha": 8,
        "target_modules": [name.rpartition(".")[2] for name in PROJECTIONS],
        "use_dora": False,
        "megatron_core": "megatron.core",
    }
    (folder / "adapter_config.json").write_text(json.dumps(config | changes), encoding="utf-8")
    save_file(tensors, folder / "adapter_model.safetensors")
    return folder
