"""Made-up parents of real shapes, peers' commands and clocks, shared by the benchmarks."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from mergesearch._system.machine import available_cores
from mergesearch._system.resources import parent_folder
from mergesearch.gguf import layout_of

BIN = Path(sys.executable).parent
QWEN_1_5B: dict[str, Any] = {
    "architectures": ["Qwen2ForCausalLM"],
    "model_type": "qwen2",
    "hidden_act": "silu",
    "hidden_size": 1536,
    "intermediate_size": 8960,
    "num_hidden_layers": 28,
    "num_attention_heads": 12,
    "num_key_value_heads": 2,
    "vocab_size": 151936,
    "max_position_embeddings": 32768,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1000000.0,
    "tie_word_embeddings": True,
    "eos_token_id": 0,
    "torch_dtype": "bfloat16",
}
QWEN_14B = QWEN_1_5B | {
    "hidden_size": 5120,
    "intermediate_size": 13824,
    "num_hidden_layers": 48,
    "num_attention_heads": 40,
    "num_key_value_heads": 8,
    "vocab_size": 152064,
    "tie_word_embeddings": False,
}
QUICK = {
    "hidden_size": 512,
    "intermediate_size": 1536,
    "num_hidden_layers": 4,
    "num_attention_heads": 8,
    "vocab_size": 4096,
}
"""Changes that make a shape small."""


def write_parent(folder: Path, config: Mapping[str, Any], seed: int) -> int:
    """Write a parent: weights that all seeds share plus a tenth of their own; return its bytes.

    Its tokenizer is that of a bundled parent.
    """
    import torch  # slow to import, and no part of what is timed
    from safetensors.torch import save_file

    folder.mkdir(parents=True)
    common, own = torch.Generator().manual_seed(0), torch.Generator().manual_seed(1 + seed)
    weights = {}
    for name, shape in layout_of(dict(config), "benchmark").tensor_shapes().items():
        values = torch.randn(shape, generator=common) * 0.02
        values += torch.randn(shape, generator=own) * 0.002
        weights[name] = values.bfloat16()
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    (folder / "config.json").write_text(json.dumps(config))
    copy_tokenizer(parent_folder("demo:base"), folder)
    return (folder / "model.safetensors").stat().st_size


def copy_tokenizer(source: Path, folder: Path) -> None:
    """Copy a folder's tokenizer files."""
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copyfile(source / name, folder / name)


def write_recipe(path: Path, method: str, parents: Sequence[Path], base: Path | None) -> Path:
    """Write a recipe that both tools read: equal weights, density 0.5, the middle of a slerp."""
    parameters = {} if method == "slerp" else {"weight": round(1 / len(parents), 3)}
    parameters |= {"density": 0.5} if method == "ties" else {}
    models = [{"model": str(parent), "parameters": parameters} for parent in parents]
    document: dict[str, Any] = {"merge_method": method, "models": models, "dtype": "bfloat16"}
    if method == "slerp":
        document["parameters"] = {"t": 0.5}
    if base is not None:
        document["base_model"] = str(base)
    path.write_text(yaml.safe_dump(document))
    return path


def mergekit(recipe: Path, folder: Path) -> list[str]:
    """mergekit at its fastest settings on this machine."""
    cores = str(available_cores())
    options = ["-j", cores, "--async-write", "--write-threads", cores]
    options += ["--no-copy-tokenizer", "--no-write-model-card", "--quiet"]
    return [str(BIN / "mergekit-yaml"), str(recipe), str(folder), *options]


def seconds(command: Sequence[str]) -> float:
    """Wall time of a command, its output hidden unless it fails."""
    cores = str(available_cores())
    offline = {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": cores, "CUDA_VISIBLE_DEVICES": ""}
    started = time.perf_counter()
    done = subprocess.run(command, env=os.environ | offline, capture_output=True, text=True)
    taken = time.perf_counter() - started
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return taken


def set_cache(files: Iterable[Path], warm: bool) -> None:
    """Bring files into the page cache, or (where the system can) take them out of it."""
    os.sync()
    for file in files:
        with file.open("rb") as opened:
            if not warm:
                os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            while warm and opened.read(1 << 24):
                pass


def machine() -> str:
    """The processor and what there is of it, for the head of a table."""
    names = [
        line.split(":")[1].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{names[0] if names else 'unknown'}, {available_cores()} cores, {memory:.0f} GiB"
