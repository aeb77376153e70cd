"""Write the JSON-lines data of the demo tasks, from a seed: `python -m tools.zoo.tasks`.

Every item is held out: its phrasings, and its combination of instructions, occur in no training
item of `tools.zoo.train`.
"""

import argparse
import json
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tools.zoo.instructions import make_instruction
from tools.zoo.reasoning import make_reasoning
from tools.zoo.vocabulary import NAMES

SEED: Final = 2024
SIZES: Final = {"demo_instruct": 3200, "demo_answer": 1600, "demo_choice": 1600}


def instruct_item(rng: random.Random) -> dict[str, Any]:
    """Draw an item of `demo_instruct`: rewrite words under several instructions."""
    item = make_instruction(rng, held_out=True)
    return {
        "question": item.question,
        "answer": item.answer,
        "checks": list(item.checks),
        "kinds": list(item.kinds),
    }


def answer_item(rng: random.Random) -> dict[str, Any]:
    """Draw an item of `demo_answer`: reasoning with an answer to produce."""
    item = make_reasoning(rng, held_out=True, pick=False)
    return {
        "question": item.question,
        "answer": item.answer,
        "candidates": [] if item.answer.isdigit() else list(NAMES),
        "kind": item.kind,
    }


def choice_item(rng: random.Random) -> dict[str, Any]:
    """Draw an item of `demo_choice`: reasoning with an answer to pick, by log-likelihood."""
    item = make_reasoning(rng, held_out=True, pick=True)
    return {
        "question": item.question,
        # After `<|bot|>` an answer starts with a space.
        "choices": [f" {choice}" for choice in item.choices],
        "label": item.choices.index(item.answer),
        "kind": item.kind,
    }


MAKERS: Final[Mapping[str, Callable[[random.Random], dict[str, Any]]]] = {
    "demo_instruct": instruct_item,
    "demo_answer": answer_item,
    "demo_choice": choice_item,
}


def build_tasks(seed: int = SEED) -> dict[str, list[dict[str, Any]]]:
    """Return the items of each task; no question occurs twice within one."""
    tasks = {}
    for name, make in MAKERS.items():
        rng = random.Random(f"{seed} {name}")
        items: dict[str, dict[str, Any]] = {}
        while len(items) < SIZES[name]:
            item = make(rng)
            items.setdefault(item["question"], item)
        tasks[name] = list(items.values())
    return tasks


def write_tasks(folder: Path, seed: int = SEED) -> None:
    """Write `<task>.jsonl` for each task, one item a line."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, items in build_tasks(seed).items():
        lines = [json.dumps(item, ensure_ascii=False) + "\n" for item in items]
        (folder / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8", newline="\n")


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and write the data."""
    parser = argparse.ArgumentParser(prog="python -m tools.zoo.tasks", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("objectives/demo"))
    parser.add_argument("--seed", type=int, default=SEED, help="another one gives other items")
    parsed = parser.parse_args(arguments)
    write_tasks(parsed.out, parsed.seed)


if __name__ == "__main__":
    main()
