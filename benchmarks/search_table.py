"""Record real candidates for the emulator: python benchmarks/search_table.py [--candidates 123].

A candidate is a point of the space of 24 dimensions; most lie in its parts of 4 and of 11
dimensions, and of the later ones most are near the front of those before. Each is built and scored
on 600 items a side, made with a seed of their own, and appended to search_table.jsonl: the point,
and as a hexadecimal number which items it solves. The same command goes on with what is there.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from search_emulator import SIDE_ITEMS, TABLE, WIDE, recipe_of, solved_items

from mergesearch._system import resources
from mergesearch.build import Workshop
from mergesearch.objectives import Objectives, Rung
from mergesearch.scoring import ScoringProcess
from mergesearch.space import Space
from tools.zoo.tasks import SIZES, write_tasks

Floats = NDArray[np.float64]

SEED = 777
ITEMS = {"demo_instruct": 600, "demo_answer": 300, "demo_choice": 300}
CURVE = np.linspace(0, 1, 5)
ATTENTION_AND_MLP = [slice(2, 7), slice(7, 12), slice(13, 18), slice(18, 23)]
REST = [slice(12, 13), slice(23, 24)]


def from_small(point: Floats) -> Floats:
    """Return (method, density, weight, weight) as a point of the wide space."""
    return np.r_[point[:2], np.full(11, point[2]), np.full(11, point[3])]


def from_demo(point: Floats) -> Floats:
    """Return a point of the demo's space as one of the wide space.

    It holds the method, then for each parent: attention and MLP, first and last, and the rest.
    """
    parts = [np.r_[point[0], 0.8]]
    for weights in (point[1:6], point[6:11]):
        attention, mlp, rest = weights[:2], weights[2:4], weights[4:]
        parts += [np.interp(CURVE, [0, 1], attention), np.interp(CURVE, [0, 1], mlp), rest]
    return np.concatenate(parts)


def draw(number: int, points: Floats, scores: Floats) -> Floats:
    """Return the point of a candidate, given those before it with their scores on both sides."""
    rng = np.random.default_rng([1, number])
    if number < 11:  # the straight line between the specialists
        return from_small(np.array([0, 0.8, 1 - number / 10, number / 10]))
    if number > 60 and number % 2:
        return near_front(rng, points, scores)
    if number > 94 and number % 4:  # the base alone is good: searches try weights of 0
        return near_edges(rng, points, scores)
    method = float(rng.integers(2))
    match number % 5:
        case 0:
            return from_small(np.r_[method, rng.uniform(0.3, 1), rng.uniform(0, 1.5, 2)])
        case 1 | 3:
            return from_demo(np.r_[method, rng.uniform(0, 1.5, 10)])
        case _ if number % 10 < 5:
            return from_demo(np.r_[method, rng.uniform(0, 1.2, 10)])
    return np.r_[method, rng.uniform(0.3, 1), rng.uniform(0, 1.5, 22)]


def near_front(rng: np.random.Generator, points: Floats, scores: Floats) -> Floats:
    """Return a crossing of two of the best by a random weighting of the sides, disturbed."""
    weight = rng.uniform(0.15, 0.85)
    order = np.argsort(-(scores @ [weight, 1 - weight] + rng.normal(0, 0.01, len(scores))))
    first, second = points[order[0]], points[order[rng.integers(1, 8)]]
    if rng.random() < 0.5:
        child = first + rng.uniform(-0.3, 1.0) * (second - first)
    else:
        child = np.where(rng.random(24) < 0.7, first, second)
    child[2:] += rng.normal(0, rng.choice([0.05, 0.15]), 22)
    if rng.random() < 0.5:  # back into the demo's space
        for block in ATTENTION_AND_MLP:
            child[block] = np.polyval(np.polyfit(CURVE, child[block], 1), CURVE)
        child[1] = 0.8
    child[0] = float(child[0] > 0.5)
    child[1] = np.clip(child[1], 0.3, 1.0)
    child[2:] = np.clip(child[2:], 0, 1.5)
    return child


def near_edges(rng: np.random.Generator, points: Floats, scores: Floats) -> Floats:
    """Return a point of the demo's space, or one near the front, with some of its weights at 0."""
    if rng.random() < 0.5:
        ends = rng.uniform(0, 1.2, 10) * (rng.random(10) < 0.5)
        return from_demo(np.r_[float(rng.integers(2)), ends])
    child = near_front(rng, points, scores)
    for block in (*ATTENTION_AND_MLP, *REST):
        if rng.random() < 0.3:
            child[block] = 0.0
    return child


def objectives_in(folder: Path) -> Objectives:
    """Return the demo's objectives on the table's own items, which are written to `folder`."""
    for task in ITEMS:
        shutil.copy(resources.objectives_folder() / "demo" / f"{task}.yaml", folder)
    SIZES.update({task: count + 2 for task, count in ITEMS.items()})
    write_tasks(folder, SEED)
    text = resources.objectives_file("demo").read_text(encoding="utf-8")
    text = text.replace("task_folder: demo", "task_folder: .")
    for task, count in ITEMS.items():
        pattern = rf"(task: {task}.*?)search_items.*?validate_items: \d+"
        text = re.sub(pattern, rf"\g<1>search_items: {count}, validate_items: 2", text)
    return Objectives.from_yaml(text, folder)


def record(scorer: ScoringProcess, space: Space, objectives: Objectives, point: Floats) -> str:
    """Build and score the candidate of a point; return which items it solves, hexadecimal."""
    recipe = recipe_of(space, point)
    with Workshop.for_recipe(recipe).candidate(recipe) as candidate:
        results = scorer.score(candidate, Rung.SEARCH)
    bits = [
        str(int(item.metrics[use.metric]))
        for use in objectives.tasks()
        for item in sorted(results[use.task].items, key=lambda item: item.item)
    ]
    return f"{int(''.join(bits), 2):0{2 * SIDE_ITEMS // 4}x}"


def main() -> None:
    """Record what is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--candidates", type=int, default=123)
    wanted = parser.parse_args().candidates
    space = Space.from_yaml(WIDE.read_text(encoding="utf-8"))
    rows: list[dict[str, Any]] = []
    if TABLE.is_file():
        rows = [json.loads(line) for line in TABLE.read_text().splitlines()]
    with tempfile.TemporaryDirectory() as scratch:
        objectives = objectives_in(Path(scratch))
        with ScoringProcess(objectives) as scorer, open(TABLE, "a", encoding="utf-8") as file:
            for number in range(len(rows), wanted):
                points = np.array([row["point"] for row in rows])
                solved = np.array([solved_items(row["solved"]) for row in rows])
                sides = solved.reshape(len(rows), 2, SIDE_ITEMS).mean(axis=2)
                point = np.round(draw(number, points, sides), 4)
                found = record(scorer, space, objectives, point)
                rows.append({"point": point.tolist(), "solved": found})
                print(json.dumps(rows[-1]), file=file, flush=True)
                print(number, *solved_items(found).reshape(2, SIDE_ITEMS).mean(axis=1), flush=True)


if __name__ == "__main__":
    main()
