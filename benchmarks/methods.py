"""Every merge method side by side with linear, and with mergekit where it has the method.

Parents are made up: eight layers of Qwen2.5-1.5B's width and a vocabulary of 32,000 (0.42 B
parameters, bfloat16), or with --large the whole of its shape (1.54 B). Whole commands are timed,
the page cache warm; each method's ratios are to linear and to mergekit (`made_up.mergekit`) in the
same round, and medians of the rounds. On a machine that does other work too, processor seconds are
steadier than seconds.

Usage: python benchmarks/methods.py [METHOD...] [--quick | --large] [--runs N] [--peer-runs N]
    [--folder DIR]
"""

from __future__ import annotations

import argparse
import resource
import shutil
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from made_up import BIN, QUICK, QWEN_1_5B, machine, mergekit, seconds, set_cache, write_parent

from mergesearch.methods import METHODS, Base

SHAPE = QWEN_1_5B | {"num_hidden_layers": 8, "vocab_size": 32000}
VALUES: dict[str, Any] = {
    "density": 0.5,
    "epsilon": 0.15,
    "gamma": 0.01,
    "select_topk": 0.5,
    "t": 0.5,
}
OWN_VALUES: dict[str, dict[str, Any]] = {
    "nearswap": {"t": 0.001},
    "ram": {"epsilon": 1e-3},
    "ramplus_tl": {"epsilon": 1e-3},
}
OF_THREE = ("linear", "task_arithmetic", "karcher", "model_stock", "sce", "median")
LARGE = ("linear", "slerp", "della", "dare_ties", "model_stock", "sce")
"""Methods that --large measures where none are named."""
AT_MOST = dict.fromkeys(METHODS, 2.0)
"""How many times linear's time to Q4_K_M a method may take."""
AT_MOST |= dict.fromkeys(("della", "della_linear", "breadcrumbs", "breadcrumbs_ties"), 3.0)
AT_MOST |= {"ties": 3.0, "sce": 3.0, "arcee_fusion": 3.0, "karcher": 4.0, "geometric_median": 4.0}
AT_LEAST, AT_LEAST_LARGE = 5, 8
"""How many times faster than mergekit a method has to be, to safetensors."""
NOT_COMPARED = ("arcee_fusion",)
"""mergekit draws a sample there: other work."""


class Times(NamedTuple):
    """Seconds of one command: on the clock, and on all processors."""

    wall: float
    processor: float


@dataclass
class Measured:
    """All rounds of one method.

    Attributes:
        safetensors: Times to safetensors.
        q4: Times to Q4_K_M.
        linear: Times of linear to Q4_K_M in the same rounds.
        peer: Times of mergekit.
    """

    safetensors: list[Times] = field(default_factory=list)
    q4: list[Times] = field(default_factory=list)
    linear: list[Times] = field(default_factory=list)
    peer: list[Times] = field(default_factory=list)


def recipe(method: str, parents: Sequence[Path]) -> dict[str, Any]:
    """A method's recipe over two parents and a base, or over three parents."""
    declared = METHODS[method]
    base, *others = map(str, parents)
    count = 1 if declared.most == 1 else 3 if method in OF_THREE or "median" in method else 2
    values = {"weight": round(1 / count, 3)} | VALUES | OWN_VALUES.get(method, {})
    known = {
        name: values[name]
        for name, parameter in declared.by_name.items()
        if name in values and not parameter.only_in_mergekit
    }
    own = {name: value for name, value in known.items() if declared.by_name[name].per_parent}
    shared = {name: value for name, value in known.items() if name not in own}
    models = [{"model": model, "parameters": own} for model in others[:count]]
    document = {"merge_method": method, "models": models, "dtype": "bfloat16"}
    if declared.base is Base.REQUIRED:
        document["base_model"] = base
    return document | ({"parameters": shared} if shared else {})


def write(folder: Path, method: str, parents: Sequence[Path]) -> Path:
    """Write a method's recipe."""
    path = folder / f"{method}.yaml"
    path.write_text(yaml.safe_dump(recipe(method, parents)))
    return path


def timed(command: Sequence[str]) -> Times:
    """The times of a command."""

    def processor() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    before = processor()
    wall = seconds(command)
    return Times(wall, processor() - before)


def build(source: Path, kind: str, result: Path) -> Times:
    """The times of a build, whose result is removed."""
    command = [str(BIN / "search"), "build", str(source), "--to", kind, "-o", str(result)]
    times = timed([*command, "--quant", "Q4_K_M"] if kind == "gguf" else command)
    shutil.rmtree(result) if result.is_dir() else result.unlink()
    return times


def peer(source: Path, result: Path) -> Times:
    """The times of mergekit, whose result is removed."""
    times = timed(mergekit(source, result))
    shutil.rmtree(result)
    return times


def measure(
    folder: Path, method: str, linear: Path, source: Path, runs: int, peers: int
) -> Measured:
    """All rounds of a method."""
    measured = Measured()
    for _ in range(runs):
        measured.linear.append(build(linear, "gguf", folder / "linear.gguf"))
        measured.q4.append(build(source, "gguf", folder / "merged.gguf"))
        measured.safetensors.append(build(source, "safetensors", folder / "merged"))
    if METHODS[method].in_mergekit and method not in NOT_COMPARED:
        measured.peer += [peer(source, folder / "theirs") for _ in range(peers)]
    return measured


def median(times: Sequence[Times]) -> Times:
    """The median of each part by itself."""
    return Times(*map(statistics.median, zip(*times, strict=True)))


def row(method: str, measured: Measured, at_least: int) -> str:
    """A line of the table."""
    ratios = [
        Times(own.wall / linear.wall, own.processor / linear.processor)
        for own, linear in zip(measured.q4, measured.linear, strict=True)
    ]
    own, q4, ratio = median(measured.safetensors), median(measured.q4), median(ratios)
    theirs, faster, less_work = "-", "-", "-"
    if measured.peer:
        peers = median(measured.peer)
        theirs, faster = f"{peers.wall:.1f}", f"{peers.wall / own.wall:.1f} of {at_least}"
        less_work = f"{peers.processor / own.processor:.1f}"
    bound = f"{ratio.wall:.2f} of {AT_MOST[method]:g}"
    ours = f"{own.wall:.2f} | {q4.wall:.2f} | {bound} | {ratio.processor:.2f}"
    return f"| {method} | {theirs} | {ours} | {faster} | {less_work} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("methods", nargs="*", help="default: all but passthrough, or six if large")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="a small shape, to try the script")
    size.add_argument("--large", action="store_true", help="the whole of Qwen2.5-1.5B's shape")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--peer-runs", type=int, default=1)
    parser.add_argument(
        "--folder", type=Path, help="where 7 GB fit, 20 if large; default: a temporary one"
    )
    arguments = parser.parse_args()
    whole = LARGE if arguments.large else [name for name in METHODS if name != "passthrough"]
    chosen = arguments.methods or whole
    at_least = AT_LEAST_LARGE if arguments.large else AT_LEAST
    print(machine())
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        parents = [folder / f"p{index}" for index in range(4)]
        shape = QWEN_1_5B if arguments.large else SHAPE | (QUICK if arguments.quick else {})
        size = [write_parent(parent, shape, seed) for seed, parent in enumerate(parents)][-1]
        print(f"{size / 2e9:.2f} B parameters, {arguments.runs} rounds\n")
        print(
            "| method | mergekit | to safetensors | to Q4_K_M | of linear's | in processor time"
            " | mergekit against ours | in processor time |"
        )
        print("|---|---|---|---|---|---|---|---|")
        set_cache([parent / "model.safetensors" for parent in parents], True)
        linear = write(folder, "linear", parents)
        for method in chosen:
            source = write(folder, method, parents)
            measured = measure(folder, method, linear, source, arguments.runs, arguments.peer_runs)
            print(row(method, measured, at_least), flush=True)


if __name__ == "__main__":
    main()
