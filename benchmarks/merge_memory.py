"""Peak of anonymous memory while five parents of Qwen2.5-14B's shape are merged.

Full vocabulary, untied head, three layers and six. Two files are made up and hard-linked as five
parents. Each merge runs in a process of its own, whose RssAnon (/proc/PID/status) is sampled. A
candidate that a search builds stays in memory, too: add the bytes written.

Usage: python benchmarks/merge_memory.py [--quick] [--folder DIR]   (20 GB of disk)
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from made_up import BIN, QUICK, QWEN_14B, machine, write_parent, write_recipe

LIMIT_GB = 2.0


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


def peak_of(command: list[str]) -> tuple[float, int]:
    """Wall seconds of a command and its peak of anonymous bytes, sampled every 10 ms."""
    begun, peak = time.perf_counter(), 0
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        while process.poll() is None:
            peak = max(peak, anonymous_bytes(process.pid))
            time.sleep(0.01)
        output.seek(0)
        if process.returncode:
            raise SystemExit(output.read().decode())
    return time.perf_counter() - begun, peak


def size_of(path: Path) -> int:
    """Bytes of a file or of a folder's files."""
    files = [path] if path.is_file() else path.iterdir()
    return sum(one.stat().st_size for one in files)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a small shape, to try the script")
    parser.add_argument("--layers", type=int, nargs="+", default=[3, 6])
    parser.add_argument("--folder", type=Path, help="where 20 GB fit; default: a temporary one")
    arguments = parser.parse_args()
    print(machine() + "\n")
    print("| layers | merge | to | bytes written | seconds | peak of anonymous memory |")
    print("|---|---|---|---|---|---|")
    for layers in arguments.layers:
        config = QWEN_14B | (QUICK | {"num_key_value_heads": 2} if arguments.quick else {})
        config |= {"num_hidden_layers": layers}
        with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
            folder = Path(name)
            files = [folder / "first", folder / "second"]
            for index, file in enumerate(files):
                write_parent(file, config, index)
            parents = link_parents(folder, files, 5)
            for method, used, base in (
                ("linear", parents, None),
                ("ties", parents[1:], parents[0]),
                ("slerp", parents[1:2], parents[0]),
            ):
                recipe = write_recipe(folder / "recipe.yaml", method, used, base)
                for target in ("safetensors", "gguf"):
                    output = folder / "output"
                    command = [str(BIN / "search"), "build", str(recipe), "--to", target]
                    taken, peak = peak_of([*command, "-o", str(output)])
                    note = "" if peak <= LIMIT_GB * 1e9 else f" (more than {LIMIT_GB:g} GB)"
                    print(
                        f"| {layers} | {method} | {target} | {size_of(output) / 1e9:.2f} GB"
                        f" | {taken:.1f} | {peak / 1e9:.3f} GB{note} |",
                        flush=True,
                    )
                    if output.is_dir():
                        shutil.rmtree(output)
                    else:
                        output.unlink()


if __name__ == "__main__":
    main()
