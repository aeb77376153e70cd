"""How fast rows are quantized: millions of elements a second, each kernel variant against ggml.

Runs of ggml and of every variant alternate, and medians are compared, so that a busy neighbour
slows all of them alike. One thread runs pinned to one core.

Usage: python benchmarks/quantize.py [--runs N] [--threads N] [--importance] [--types Q4_K ...]
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import numpy.typing as npt
from gguf import GGMLQuantizationType as Type

from mergesearch._kernels import supported_variants
from mergesearch.quantize import quantize_rows
from mergesearch.quantize.formats import TYPES
from tools.quantization import ggml

ROWS, COLS = 256, 4096
AT_LEAST = {
    "avx512": {Type.Q4_K: 9, Type.Q5_K: 7, Type.Q6_K: 6, Type.Q4_0: 1, Type.Q8_0: 1},
    "avx2": {Type.Q4_K: 4, Type.Q5_K: 3, Type.Q6_K: 3, Type.Q4_0: 1, Type.Q8_0: 1},
}
"""How many times faster than ggml a variant has to be; checked with one thread."""

Quantize = Callable[[npt.NDArray[np.float32]], object]


def timed(quantize: Quantize, parts: list[npt.NDArray[np.float32]]) -> float:
    """Seconds for all parts, each in a thread of its own."""
    if len(parts) == 1:
        start = time.perf_counter()
        quantize(parts[0])
        return time.perf_counter() - start
    with ThreadPoolExecutor(len(parts)) as pool:
        list(pool.map(len, parts))  # the threads exist before the clock starts
        start = time.perf_counter()
        list(pool.map(quantize, parts))
        return time.perf_counter() - start


def medians(
    contestants: dict[str, Quantize], parts: list[npt.NDArray[np.float32]], runs: int
) -> dict[str, float]:
    """Median seconds of each, after one run that is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for run in range(runs + 1):
        for name, quantize in contestants.items():
            taken = timed(quantize, parts)
            if run:
                seconds[name].append(taken)
    return {name: statistics.median(all_runs) for name, all_runs in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=11)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--importance", action="store_true", help="with an importance matrix")
    parser.add_argument("--types", nargs="+", default=[kind.name for kind in TYPES[1:]])
    arguments = parser.parse_args()
    if arguments.threads == 1 and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    rng = np.random.default_rng(0)
    rows = (rng.standard_normal((ROWS * arguments.threads, COLS)) * 0.02).astype(np.float32)
    importance = rng.random(COLS).astype(np.float32) if arguments.importance else None
    parts = np.split(rows, arguments.threads)
    variants = supported_variants()
    print(f"{'M elements/s':12} {'ggml':>9}", *(f"{variant.name:>20}" for variant in variants))
    for kind in (Type[name] for name in arguments.types):
        contestants: dict[str, Quantize] = {
            "ggml": partial(ggml.quantize_rows, kind=kind, importance=importance)
        }
        for variant in variants:
            contestants[variant.name] = partial(
                quantize_rows, kind=kind, importance=importance, variant=variant
            )
        found = medians(contestants, parts, arguments.runs)
        cells = [f"{kind.name:12} {rows.size / found['ggml'] / 1e6:9.1f}"]
        for variant in variants:
            ratio = found["ggml"] / found[variant.name]
            wanted = AT_LEAST.get(variant.name, {}).get(kind)
            note = "" if wanted is None or arguments.importance else f" of {wanted}"
            cells.append(f"{rows.size / found[variant.name] / 1e6:9.1f} {ratio:5.1f}x{note:5}")
        print(*cells, flush=True)


if __name__ == "__main__":
    main()
