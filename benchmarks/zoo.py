"""The bundled parents measured as Q4 candidates: the straight line between them, and a run's knee.

Prints the two tables of docs/zoo.md:

    python benchmarks/zoo.py line              # eleven mixtures of the two specialists
    python benchmarks/zoo.py knee results/demo # a run's knee against the line and the specialists
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path

from mergesearch._system import resources
from mergesearch.build import Workshop
from mergesearch.objectives import Objectives, TaskResult, paired_difference
from mergesearch.recipe import Recipe
from mergesearch.runs.run import Run
from mergesearch.scoring import ScoringProcess

FIRST, SECOND = "demo:instruct", "demo:reason"
Results = Mapping[str, TaskResult]


def mixture(share: float) -> Recipe:
    """The straight line between the specialists at `share` of the second."""
    models = [
        {"model": FIRST, "parameters": {"weight": 1.0 - share}},
        {"model": SECOND, "parameters": {"weight": share}},
    ]
    return Recipe.from_dict({"merge_method": "linear", "models": models})


def demo_objectives() -> Objectives:
    """The bundled objectives."""
    path = resources.objectives_file("demo")
    return Objectives.from_yaml(path.read_text(encoding="utf-8"), path.parent)


def measure(scorer: ScoringProcess, recipe: Recipe, rung: str) -> Results:
    """Build a recipe's candidate and score it."""
    with Workshop.for_recipe(recipe).candidate(recipe) as candidate:
        return scorer.score(candidate, rung)


def row(label: str, objectives: Objectives, results: Results) -> str:
    """One line of a Markdown table: the label and every objective with its standard error."""
    scores = objectives.scores(results)
    cells = [f"{score.value:.3f} ± {score.stderr:.3f}" for score in scores.values()]
    return f"| {label} | " + " | ".join(cells) + " |"


def line(scorer: ScoringProcess, objectives: Objectives, rung: str) -> Iterator[Results]:
    """Print and yield the eleven points of the straight line."""
    names = [objective.name for objective in objectives.objectives]
    print(f"\n| share of {SECOND} | " + " | ".join(names) + " |")
    print("|---" * (len(names) + 1) + "|")
    for step in range(11):
        results = measure(scorer, mixture(step / 10), rung)
        print(row(f"{step / 10:.1f}", objectives, results), flush=True)
        yield results


def total(objectives: Objectives, results: Results) -> float:
    """The plain sum of all objectives, by which the best point of the line is chosen."""
    return sum(score.value for score in objectives.scores(results).values())


def compare(label: str, objectives: Objectives, first: Results, second: Results) -> str:
    """One line of a Markdown table: paired differences with their 95 % intervals."""
    ours, theirs = ([item for result in results.values() for item in result.items]
                    for results in (first, second))  # fmt: skip
    cells = []
    for objective in objectives.objectives:
        difference = paired_difference(objective, ours, theirs)
        low, high = difference.interval()
        cells.append(f"{difference.value:+.3f} [{low:+.3f}, {high:+.3f}]")
    return f"| {label} | " + " | ".join(cells) + " |"


def main() -> None:
    """Print the table that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("line")
    commands.add_parser("knee").add_argument("folder", type=Path)
    arguments = parser.parse_args()
    objectives = demo_objectives()
    with ScoringProcess(objectives) as scorer:
        if arguments.command == "line":
            for rung in ("search", "validate"):
                print(f"\n{rung} items")
                list(line(scorer, objectives, rung))
            return
        run = Run(arguments.folder)
        trial = run.pick("knee")
        knee = measure(scorer, run.recipe_of(trial), "validate")
        searched = list(line(scorer, objectives, "search"))
        points = list(line(scorer, objectives, "validate"))
        best = max(range(11), key=lambda step: total(objectives, searched[step]))
        print("\n" + row(f"knee (trial {trial.number})", objectives, knee))
        print("\n| knee minus, on validate items | instruction | reasoning |\n|---|---|---|")
        for label, other in (
            (f"best of the line on search items ({best / 10:.1f})", points[best]),
            (FIRST, points[0]),
            (SECOND, points[10]),
        ):
            print(compare(label, objectives, knee, other))


if __name__ == "__main__":
    main()
