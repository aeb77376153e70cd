"""How long the demo's candidates take to build: median seconds per method and thread count.

Usage: python benchmarks/candidate.py [--runs N]
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

from mergesearch.candidate import build_candidate
from mergesearch.checkpoint import open_parents
from mergesearch.recipe import Recipe
from mergesearch.resources import demo_parents


def recipes(base: str, first: str, second: str) -> dict[str, Recipe]:
    """One recipe per method over the bundled parents."""
    weighted = [{"model": one, "parameters": {"weight": 0.7}} for one in (first, second)]
    trimmed = [
        {"model": one, "parameters": {"weight": 0.7, "density": 0.6}} for one in (first, second)
    ]
    onto_base = {"base_model": base}
    documents = [
        {"merge_method": "linear", "models": weighted},
        {"merge_method": "task_arithmetic", "models": weighted} | onto_base,
        {"merge_method": "ties", "models": trimmed} | onto_base,
        {
            "merge_method": "slerp",
            "base_model": first,
            "models": [{"model": first}, {"model": second}],
            "parameters": {"t": 0.4},
        },
    ]
    return {one["merge_method"]: Recipe.from_dict(one) for one in documents}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--parents", type=Path, nargs=3, help="folders of a base and two parents")
    arguments = parser.parse_args()
    chosen = [str(one) for one in arguments.parents or ()]
    if not chosen:
        others = [one for one in demo_parents() if one != "demo:base"]
        chosen = ["demo:base", *others[:2]]
    print(f"{'method':16} {'threads':>7} {'seconds':>8} {'bytes':>10}")
    for method, recipe in recipes(*chosen).items():
        parents = open_parents(recipe)
        for threads in (1, 2):
            seconds, size = [], 0
            for _ in range(arguments.runs):
                with build_candidate(recipe, parents, threads=threads) as built:
                    seconds.append(built.seconds)
                    size = built.size
            print(f"{method:16} {threads:7} {statistics.median(seconds):8.3f} {size:10}")


if __name__ == "__main__":
    main()
