"""A small objectives file of two axes and three tasks, for tests that run none of them."""

from __future__ import annotations

from pathlib import Path

from mergesearch.objectives import Objectives

FILE = """
objectives:
  follow:
    tasks: [{task: ifeval, metric: prompt_level_strict_acc, search_items: 60}]
  reason:
    reference: 0.25
    tasks:
      - {task: pick, metric: acc, weight: 3}
      - {task: say, metric: exact, weight: 1}
runtime: {n_parallel: 8}
"""


def load(text: str = FILE, folder: Path = Path()) -> Objectives:
    return Objectives.from_yaml(text, folder)
