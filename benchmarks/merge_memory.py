"""Peak of anonymous memory while five parents of Qwen2.5-14B's shape are merged.

Full vocabulary, untied head, three layers and six. Two files are made up and hard-linked as five
parents. Each merge runs in a process of its own, whose RssAnon (/proc/PID/status) is sampled. To
`memory` is what a search builds: the bytes written stay in memory too, but for no process (memfd).

Usage: python benchmarks/merge_memory.py [--quick] [--folder DIR]   (20 GB of disk)
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from made_up import BIN, QUICK, QWEN_14B, machine, write_parent, write_recipe

from mergesearch.build import Workshop
from mergesearch.recipe import Recipe

LIMIT_GB = 2.0
TARGETS = ("safetensors", "gguf", "memory")


def link_parents(folder: Path, files: list[Path], count: int) -> list[Path]:
    """Make `count` parents out of fewer, by hard links."""
    parents = [folder / f"linked{index}" for index in range(count)]
    for index, parent in enumerate(parents):
        shutil.copytree(files[index % len(files)], parent, copy_function=os.link)
    return parents


def anonymous_bytes(pid: int) -> int:
    """RssAnon of a process; 0 when it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))


def peak_of(command: list[str]) -> tuple[float, int, str]:
    """Wall seconds of a command, its peak of anonymous bytes (every 10 ms), and what it printed."""
    started, peak = time.perf_counter(), 0
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        while process.poll() is None:
            peak = max(peak, anonymous_bytes(process.pid))
            time.sleep(0.01)
        output.seek(0)
        text = output.read().decode()
    if process.returncode:
        raise SystemExit(text)
    return time.perf_counter() - started, peak, text


def build_in_memory(recipe: Path) -> None:
    """Build a candidate as a search does and print its bytes."""
    parsed = Recipe.from_yaml(recipe.read_text(), recipe)
    with Workshop.for_recipe(parsed).candidate(parsed) as built:
        print(built.size)


def size_of(path: Path) -> int:
    """Bytes of a file or of a folder's files."""
    files = [path] if path.is_file() else path.iterdir()
    return sum(file.stat().st_size for file in files)


def print_row(name: str, recipe: Path, target: str) -> None:
    """Build a recipe to a target and print what that took."""
    output = recipe.parent / "output"
    if target == "memory":
        taken, peak, text = peak_of([sys.executable, __file__, "--build", str(recipe)])
        size = int(text)
    else:
        command = [str(BIN / "search"), "build", str(recipe), "--to", target, "-o", str(output)]
        taken, peak, _ = peak_of(command)
        size = size_of(output)
        shutil.rmtree(output) if output.is_dir() else output.unlink()
    note = "" if peak <= LIMIT_GB * 1e9 else f" (more than {LIMIT_GB:g} GB)"
    print(
        f"| {name} | {target} | {size / 1e9:.2f} GB | {taken:.1f} | {peak / 1e9:.3f} GB{note} |",
        flush=True,
    )


def print_rows(folder: Path, layers: int, quick: bool) -> None:
    """Every merge to every target, with parents of so many layers."""
    config = QWEN_14B | (QUICK | {"num_key_value_heads": 2} if quick else {})
    files = [folder / "first", folder / "second"]
    for index, file in enumerate(files):
        write_parent(file, config | {"num_hidden_layers": layers}, index)
    parents = link_parents(folder, files, 5)
    for method, used, base in (
        ("linear", parents, None),
        ("ties", parents[1:], parents[0]),
        ("slerp", parents[1:2], parents[0]),
    ):
        recipe = write_recipe(folder / "recipe.yaml", method, used, base)
        for target in TARGETS:
            print_row(f"{layers} | {method}", recipe, target)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a small shape, to try the script")
    parser.add_argument("--layers", type=int, nargs="+", default=[3, 6])
    parser.add_argument("--folder", type=Path, help="where 20 GB fit; default: a temporary one")
    parser.add_argument("--build", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.build:
        build_in_memory(arguments.build)
        return
    print(machine() + "\n")
    print("| layers | merge | to | bytes written | seconds | peak of anonymous memory |")
    print("|---|---|---|---|---|---|")
    for layers in arguments.layers:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            print_rows(Path(folder), layers, arguments.quick)


if __name__ == "__main__":
    main()
