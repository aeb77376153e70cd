"""The processor time of every merge method on one tensor and one core, of linear's.

The tensor is made up: 2,560 rows of 1,536 columns in bfloat16, in blocks as a build cuts it, merged
to Q4_K with the settings of benchmarks/methods.py. No file is read or written, and processor time
hardly depends on what else the machine does.

Usage: python benchmarks/method_kernels.py [METHOD...] [--rounds N]
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGMLQuantizationType as Type
from made_up import machine
from methods import recipe

from mergesearch._kernels import kernels
from mergesearch._kernels.stored import Stored
from mergesearch._system.spare import Spare
from mergesearch.merge.rows import rows_per_block
from mergesearch.methods import METHODS, Base, InputRows, InputTensor, Parameter, Settings
from mergesearch.methods.combination import rows_as

ROWS, COLS = 2560, 1536
NAMES = ("base", "first", "second", "third")


def made_up_tensors() -> dict[str, Stored]:
    """Tensors that share most of their values, by the names of their parents."""
    rng = np.random.default_rng(0)
    common = rng.standard_normal((ROWS, COLS)) * 0.02
    found = {}
    for name in NAMES:
        values = (common + rng.standard_normal((ROWS, COLS)) * 0.002).astype(np.float32)
        found[name] = (values.view(np.uint32) >> np.uint32(16)).astype(np.uint16)
    return found


def settings_of(method: str, document: dict[str, Any]) -> Settings:
    """The settings that a recipe of the method gives a tensor."""

    def value(parameter: Parameter, index: int | None) -> Any:
        given = document.get("parameters", {})
        if index is not None:
            given = document["models"][index]["parameters"]
        return given.get(parameter.name, parameter.default)

    return METHODS[method].settings(value, len(document["models"]))


def seconds(method: str, tensors: dict[str, Stored]) -> tuple[float, float]:
    """Processor seconds of what concerns the whole tensor, and of everything."""
    chosen, document = METHODS[method], recipe(method, [Path(name) for name in NAMES])
    inputs = [tensors[model["model"]] for model in document["models"]]
    base = tensors["base"] if chosen.base is Base.REQUIRED else None
    settings, step = settings_of(method, document), rows_per_block(COLS)
    blocks = [
        InputRows(
            None if base is None else base[start : start + step],
            [values[start : start + step] for values in inputs],
            start * COLS,
        )
        for start in range(0, ROWS, step)
    ]
    tensor = replace(InputTensor.of(blocks, tuple(range(len(inputs)))), spare=Spare(1 << 30))
    started = time.thread_time()
    statistics = None
    if chosen.statistics is not None:
        statistics = chosen.statistics(tensor, settings)
    counted = time.thread_time() - started
    for block in blocks:
        assert rows_as(chosen.merge(block, settings, statistics), Type.Q4_K) is not None
    return counted, time.thread_time() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("methods", nargs="*", help="default: all but passthrough")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    tensors = made_up_tensors()
    print(f"{machine()}, {kernels().name}\n")
    print("| method | passes over the tensor | in all | of linear's |")
    print("|---|---|---|---|")
    for method in arguments.methods or [name for name in METHODS if name != "passthrough"]:
        rounds = [
            (seconds("linear", tensors)[1], *seconds(method, tensors))
            for _ in range(arguments.rounds)
        ]
        linear, counted, whole = map(min, zip(*rounds, strict=True))
        entries = ROWS * COLS / 1e9
        ns = f"{counted / entries:.1f} ns | {whole / entries:.1f} ns"
        print(f"| {method} | {ns} | {whole / linear:.2f} |", flush=True)


if __name__ == "__main__":
    main()
