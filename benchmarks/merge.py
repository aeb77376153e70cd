"""Merging to safetensors side by side with mergekit: seconds, with the page cache warm and cold.

Parents are made up in the shape of Qwen2.5-1.5B (1.54 B parameters, bfloat16): linear of five, and
ties of two and a base at density 0.5. mergekit runs at its fastest settings (`made_up.mergekit`).
Earlier results are taken out of the page cache first, since parents and results together hardly
fit. One more column writes the same number of bytes and nothing else.

Usage: python benchmarks/merge.py [--quick] [--runs N] [--peer-runs N] [--folder DIR]
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from made_up import (
    BIN,
    QUICK,
    QWEN_1_5B,
    machine,
    mergekit,
    seconds,
    set_cache,
    write_parent,
    write_recipe,
)
from safetensors import safe_open


class Runs(NamedTuple):
    """How often each side is timed."""

    own: int
    peer: int


def median_seconds(
    command: Sequence[str], result: Path, prepare: Callable[[], None], runs: int
) -> float:
    """Median wall time of a command that writes `result`, which is removed between the runs."""
    taken = []
    for _ in range(runs):
        shutil.rmtree(result, ignore_errors=True)
        prepare()
        taken.append(seconds(command))
    return statistics.median(taken)


def write_alone(path: Path, size: int) -> float:
    """Seconds to write `size` bytes to a new file."""
    chunk = np.zeros(1 << 20, dtype=np.uint8)
    started = time.perf_counter()
    with path.open("wb", buffering=0) as file:
        for _ in range(size >> 20):
            file.write(chunk)
    taken = time.perf_counter() - started
    path.unlink()
    return taken


def difference(ours: Path, theirs: Path) -> float:
    """Mean magnitude of the two results' difference in parts of the values', over all tensors."""
    apart, size = 0.0, 0.0
    with (
        safe_open(ours / "model.safetensors", "pt") as mine,
        safe_open(next(theirs.glob("*.safetensors")), "pt") as other,
    ):
        for name in mine.keys():  # noqa: SIM118
            a, b = mine.get_tensor(name).float(), other.get_tensor(name).float()
            apart += float((a - b).abs().sum())
            size += float(b.abs().sum())
    return apart / size


def print_rows(
    folder: Path, method: str, used: Sequence[Path], base: Path | None, runs: Runs
) -> None:
    """One merge with both tools, warm and cold."""
    recipe = write_recipe(folder / "recipe.yaml", method, used, base)
    files = [parent / "model.safetensors" for parent in [*used, *([base] if base else [])]]
    ours, theirs = folder / "ours", folder / "theirs"
    build = [str(BIN / "search"), "build", str(recipe), "--to", "safetensors", "-o", str(ours)]
    for warm in (True, False):

        def prepare(warm: bool = warm) -> None:
            set_cache([*ours.glob("*.safetensors"), *theirs.glob("*.safetensors")], False)
            set_cache(files, warm)

        slow = median_seconds(mergekit(recipe, theirs), theirs, prepare, runs.peer)
        fast = median_seconds(build, ours, prepare, runs.own)
        alone = write_alone(folder / "zeros", files[0].stat().st_size)
        print(
            f"| {method} of {len(used)}{' + base' if base else ''}"
            f" | {'warm' if warm else 'cold'} | {slow:.1f} s | {fast:.2f} s"
            f" | {slow / fast:.1f} | {alone:.2f} s | {difference(ours, theirs):.1e} |",
            flush=True,
        )
    shutil.rmtree(ours)
    shutil.rmtree(theirs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a small shape, to try the script")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--peer-runs", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="where 20 GB fit; default: a temporary one")
    arguments = parser.parse_args()
    config = QWEN_1_5B | (QUICK if arguments.quick else {})
    print(machine())
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        parents = [folder / f"p{index}" for index in range(5)]
        size = [write_parent(parent, config, index) for index, parent in enumerate(parents)][-1]
        print(f"{size / 1e9:.2f} GB a parent, bfloat16\n")
        print("| merge | cache | mergekit | mergesearch | ratio | writing alone | difference |")
        print("|---|---|---|---|---|---|---|")
        runs = Runs(arguments.runs, arguments.peer_runs)
        print_rows(folder, "linear", parents, None, runs)
        print_rows(folder, "ties", parents[1:3], parents[0], runs)


if __name__ == "__main__":
    main()
