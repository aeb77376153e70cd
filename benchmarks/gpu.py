"""Scoring on a GPU, and building the next candidate meanwhile: python benchmarks/gpu.py.

Needs a llama-cpp-python that was compiled for the GPU (docs/running.md). Prints

1. a candidate of the demo scored on the processor and on the GPU, with the share of items that
   have the same result and the differences of the scores;
2. a search over made-up parents of a larger shape with and without building ahead: seconds a
   trial, and whether both proposed the same;
3. a candidate of that shape: seconds of building it, and of scoring the same items.

Usage: python benchmarks/gpu.py [--quick] [--trials N] [--folder DIR]
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import yaml
from made_up import QUICK, QWEN_1_5B, machine, write_parent

import mergesearch
from mergesearch._system import resources
from mergesearch.build import Candidate, Workshop
from mergesearch.objectives import Objectives, Rung, TaskResult
from mergesearch.recipe import Recipe
from mergesearch.runs import workplace
from mergesearch.scoring import ScoringProcess

ALL_LAYERS = 99
SHAPE = QWEN_1_5B | {"vocab_size": 32_768}
SEQUENCES = (32, 128)
Results = Mapping[str, TaskResult]


def demo_objectives(**runtime: int) -> Objectives:
    """The demo's objectives with other runtime settings."""
    file = resources.objectives_file("demo")
    objectives = Objectives.from_yaml(file.read_text(encoding="utf-8"), file.parent)
    return replace(objectives, runtime=replace(objectives.runtime, **runtime))


def score(candidate: Candidate, rung: Rung, runtime: Mapping[str, int]) -> tuple[Results, float]:
    """Score a candidate twice; return its results and the seconds of the second time."""
    with ScoringProcess(demo_objectives(**runtime)) as process:
        for _ in range(2):
            start = time.perf_counter()
            results = process.score(candidate, rung)
            taken = time.perf_counter() - start
    return results, taken


@contextmanager
def built(models: list[str]) -> Iterator[tuple[Candidate, float]]:
    """The even mixture of models in memory, with the seconds that a second build of it takes."""
    entries = [{"model": model, "parameters": {"weight": 1.0}} for model in models]
    recipe = Recipe.from_dict({"merge_method": "linear", "models": entries})
    workshop = Workshop.for_recipe(recipe)
    workshop.candidate(recipe).close()
    with workshop.candidate(recipe) as candidate:
        yield candidate, candidate.seconds


def compare_devices() -> None:
    """Score a candidate of the demo on both devices, item by item."""
    print("the demo's even mixture, validate items")
    with built(["demo:instruct", "demo:reason"]) as (candidate, seconds):
        print(f"  built in {seconds:.2f} s")
        on_processor, slow = score(candidate, Rung.VALIDATE, {"n_gpu_layers": 0})
        on_gpu, fast = score(candidate, Rung.VALIDATE, {"n_gpu_layers": ALL_LAYERS})
    print(f"  scored in {slow:.2f} s on the processor, {fast:.2f} s on the GPU")
    for task, result in on_processor.items():
        pairs = list(zip(result.items, on_gpu[task].items, strict=True))
        same = sum(first.metrics == second.metrics for first, second in pairs) / len(pairs)
        values = [
            f"{name} {value.value:.4f} / {on_gpu[task].metrics[name].value:.4f}"
            for name, value in result.metrics.items()
        ]
        print(f"  {task}: {same:.2%} of {len(pairs)} items alike; {', '.join(values)}")


def time_scoring(parents: list[str]) -> None:
    """Score a candidate of a larger shape with several numbers of sequences side by side."""
    with built(parents) as (candidate, seconds):
        print(f"made-up parents, a candidate of {candidate.size / 1e9:.2f} GB")
        print(f"  built in {seconds:.2f} s")
        for sequences in SEQUENCES:
            runtime = {"n_gpu_layers": ALL_LAYERS, "n_parallel": sequences}
            results, taken = score(candidate, Rung.VALIDATE, runtime)
            items = sum(result.n for result in results.values())
            print(f"  {items} items on the GPU, {sequences} at once: {taken:.2f} s")


def time_search(folder: Path, parents: list[str], trials: int) -> None:
    """Search with and without building ahead."""
    weight = {"search": [0.0, 1.0]}
    models = [{"model": parent, "parameters": {"weight": weight}} for parent in parents]
    space = folder / "space.yaml"
    space.write_text(yaml.safe_dump({"merge_method": "linear", "models": models}))
    objectives = demo_objectives(n_gpu_layers=ALL_LAYERS, n_parallel=128)
    may_build_ahead, proposed = workplace.builds_ahead, []
    for name, rule in (("ahead", may_build_ahead), ("in turn", lambda work, budget: False)):
        workplace.builds_ahead = rule
        ends: list[float] = []

        def on_event(event: object, ends: list[float] = ends) -> None:
            if isinstance(event, mergesearch.events.TrialFinished):
                ends.append(time.perf_counter())

        run = mergesearch.search(
            space, objectives, folder / name, trials=trials, confirm=0.0, on_event=on_event
        )
        found = run.trials()
        proposed.append([trial.parameters for trial in found])
        gaps = [later - earlier for earlier, later in pairwise(ends)]
        rungs = [trial.rungs[Rung.SEARCH] for trial in found if Rung.SEARCH in trial.rungs]
        builds = statistics.median(rung.build_seconds for rung in rungs)
        scores = statistics.median(rung.score_seconds for rung in rungs)
        print(
            f"  {name}: {statistics.median(gaps):.2f} s a trial"
            f" (median of {len(gaps)}; building {builds:.2f} s, scoring {scores:.2f} s)"
        )
    workplace.builds_ahead = may_build_ahead
    print(f"  the same proposals: {proposed[0] == proposed[1]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a small shape")
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--folder", type=Path, help="where the parents and runs are written")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(dir=arguments.folder))
    config = SHAPE | (QUICK if arguments.quick else {})
    try:
        print(machine())
        compare_devices()
        parents = [str(folder / f"p{seed}") for seed in range(2)]
        with ProcessPoolExecutor() as processes:
            for seed, parent in enumerate(parents):
                processes.submit(write_parent, Path(parent), config, seed)
        time_search(folder, parents, arguments.trials)
        time_scoring(parents)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
