"""From five parents to a Q4_K_M in memory, against mergekit, a converter and llama.cpp.

Parents are made up in the shape of Qwen2.5-1.5B; the merge is linear. The peers' way is mergekit
to safetensors (its fastest settings: `made_up.mergekit`), a F16 GGUF of that, and
`llama_model_quantize`. llama.cpp's converter is not installed with llama-cpp-python, so that our
own F16 build stands in for it. Peers use as many threads as there are cores.

The bound is the slower of quantizing all weights at the rate of benchmarks/quantize.py on all
cores, and reading all parents from the page cache on all cores. Before that, the demo's candidates
are timed per method.

Usage: python benchmarks/candidate.py [--quick] [--runs N] [--peer-runs N] [--folder DIR]
"""

from __future__ import annotations

import argparse
import ctypes
import math
import shutil
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type
from made_up import (
    QUICK,
    QWEN_1_5B,
    copy_tokenizer,
    machine,
    mergekit,
    seconds,
    set_cache,
    write_parent,
    write_recipe,
)
from quantize import COLS, ROWS, medians

from mergesearch._system.machine import available_cores
from mergesearch.build import Workshop
from mergesearch.parents import open_parents
from mergesearch.quantize import quantize_rows
from mergesearch.recipe import Recipe

AT_LEAST, SHARE = 12, 0.80
"""How many times faster than the peers a build has to be, and its share of the bound."""


def demo_recipes() -> dict[str, Recipe]:
    """One recipe per method over the bundled parents."""
    first, second = "demo:instruct", "demo:reason"
    weighted = [{"model": parent, "parameters": {"weight": 0.7}} for parent in (first, second)]
    trimmed = [
        {"model": parent, "parameters": {"weight": 0.7, "density": 0.6}}
        for parent in (first, second)
    ]
    pair = [{"model": first}, {"model": second}]
    documents = [
        {"merge_method": "linear", "models": weighted},
        {"merge_method": "task_arithmetic", "models": weighted, "base_model": "demo:base"},
        {"merge_method": "ties", "models": trimmed, "base_model": "demo:base"},
        {"merge_method": "slerp", "models": pair, "base_model": first, "parameters": {"t": 0.4}},
    ]
    return {str(document["merge_method"]): Recipe.from_dict(document) for document in documents}


def print_demo(runs: int) -> None:
    """Median seconds of the demo's candidates per method and thread count."""
    print(f"{'method':16} {'threads':>7} {'seconds':>8} {'bytes':>10}")
    for method, recipe in demo_recipes().items():
        parents = open_parents(recipe.parents())
        for threads in (1, 2):
            taken, size = [], 0
            for _ in range(runs):
                with Workshop(parents, threads=threads).candidate(recipe) as built:
                    taken.append(built.seconds)
                    size = built.size
            print(f"{method:16} {threads:7} {statistics.median(taken):8.3f} {size:10}")


def convert(folder: Path, path: Path) -> None:
    """Write a folder as a F16 GGUF."""
    models = [{"model": str(folder)}]
    recipe = Recipe.from_dict({"merge_method": "passthrough", "models": models})
    Workshop.for_recipe(recipe).gguf(recipe, path, quant="F16")


def quantize_file(source: Path, target: Path) -> None:
    """Quantize a GGUF to Q4_K_M with llama.cpp."""
    import llama_cpp

    parameters = llama_cpp.llama_model_quantize_default_params()
    parameters.nthread = available_cores()
    parameters.ftype = llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_K_M
    found = llama_cpp.llama_model_quantize(
        str(source).encode(), str(target).encode(), ctypes.byref(parameters)
    )
    assert found == 0


def build_in_memory(recipe: Path) -> None:
    """Build a candidate in memory and print the seconds it took without starting Python."""
    parsed = Recipe.from_yaml(recipe.read_text(), recipe)
    with Workshop.for_recipe(parsed).candidate(parsed) as built:
        print(built.seconds)


STEPS = {"convert": convert, "quantize": quantize_file, "build": build_in_memory}
"""What this script does in a process of its own: `--step NAME PATH...`."""


def step(name: str, *paths: Path) -> list[str]:
    """The command that runs one of `STEPS`."""
    return [sys.executable, __file__, "--step", name, *map(str, paths)]


def peers(folder: Path, recipe: Path) -> list[float]:
    """Seconds of merging, converting and quantizing with the peers."""
    merged, whole, small = folder / "merged", folder / "f16.gguf", folder / "q4.gguf"
    taken = [seconds(mergekit(recipe, merged))]
    copy_tokenizer(folder / "p0", merged)
    taken.append(seconds(step("convert", merged, whole)))
    shutil.rmtree(merged)
    taken.append(seconds(step("quantize", whole, small)))
    whole.unlink()
    small.unlink()
    return taken


def quantizing_bound(recipe: Recipe) -> float:
    """Seconds that all weights of a candidate take at the kernels' rates on all cores."""
    with Workshop.for_recipe(recipe).candidate(recipe) as built:
        tensors = gguf.GGUFReader(built.path).tensors
        counts = Counter()
        for tensor in tensors:
            counts[tensor.tensor_type] += int(math.prod(tensor.shape))
    cores = available_cores()
    rng = np.random.default_rng(0)
    rows = (rng.standard_normal((ROWS * cores, COLS)) * 0.02).astype(np.float32)
    rates = {kind: partial(quantize_rows, kind=kind) for kind in counts if kind != Type.F32}
    found = medians(rates, np.split(rows, cores), 5)
    return sum(found[kind] * counts[kind] / rows.size for kind in rates)


def reading_bound(files: Sequence[Path]) -> float:
    """Seconds that reading all files from the page cache takes on all cores, the best of three."""
    cores = available_cores()
    parts = []
    for file in files:
        mapped = np.memmap(file, dtype=np.uint8, mode="r")
        parts += np.array_split(mapped[: len(mapped) // 8 * 8].view(np.uint64), cores)
    best = math.inf
    with ThreadPoolExecutor(cores) as pool:
        for _ in range(3):
            started = time.perf_counter()
            list(pool.map(np.bitwise_or.reduce, parts))
            best = min(best, time.perf_counter() - started)
    return best


def print_large(folder: Path, small: bool, runs: int, peer_runs: int) -> None:
    """The table of five large parents, and the share of the bound."""
    config = QWEN_1_5B | (QUICK if small else {})
    parents = [folder / f"p{index}" for index in range(5)]
    for index, parent in enumerate(parents):
        write_parent(parent, config, index)
    recipe = write_recipe(folder / "recipe.yaml", "linear", parents, None)
    files = [parent / "model.safetensors" for parent in parents]
    print("\n| cache | mergekit | to F16 | to Q4_K_M | peers in all | mergesearch | ratio |")
    print("|---|---|---|---|---|---|---|")
    for warm in (True, False):
        slow, fast = [], []
        for _ in range(peer_runs):
            set_cache(files, warm)
            slow.append(peers(folder, recipe))
        for _ in range(runs):
            set_cache(files, warm)
            fast.append(seconds(step("build", recipe)))
        medians_of_steps = [statistics.median(seconds) for seconds in zip(*slow, strict=True)]
        total, own = sum(medians_of_steps), statistics.median(fast)
        cells = " | ".join(f"{seconds:.1f} s" for seconds in [*medians_of_steps, total])
        print(
            f"| {'warm' if warm else 'cold'} | {cells} | {own:.2f} s"
            f" | {total / own:.1f} of {AT_LEAST} |",
            flush=True,
        )
    print_share(Recipe.from_yaml(recipe.read_text(), recipe), files, runs)


def print_share(recipe: Recipe, files: Sequence[Path], runs: int) -> None:
    """How near a build comes to the slower of quantizing and reading alone."""
    set_cache(files, True)
    quantizing, reading = quantizing_bound(recipe), reading_bound(files)
    taken = []
    parents = open_parents(recipe.parents())
    for _ in range(runs + 1):  # a search opens its parents once: the first build maps their pages
        with Workshop(parents).candidate(recipe) as built:
            taken.append(built.seconds)
    first = taken.pop(0)
    own, bound = statistics.median(taken), max(quantizing, reading)
    print(
        f"\nA build within a running search: {own:.2f} s (the first {first:.2f} s);"
        f" quantizing alone {quantizing:.2f} s,"
        f" reading alone {reading:.2f} s; share of the bound {bound / own:.2f} of {SHARE}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a small shape, to try the script")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--peer-runs", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="where 25 GB fit; default: a temporary one")
    parser.add_argument("--step", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.step:
        name, *paths = arguments.step
        STEPS[name](*map(Path, paths))
        return
    print(machine() + "\n")
    print_demo(arguments.runs)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        print_large(Path(folder), arguments.quick, arguments.runs, arguments.peer_runs)


if __name__ == "__main__":
    main()
