"""A search whose trials are scored on parts of the items, without a model."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from helpers.study_fakes import Bench, FakeCandidate, search, trade_off
from mergesearch.objectives import ItemResult, MetricValue, Objectives, Rung, TaskResult
from mergesearch.study.settings import Search

OBJECTIVES = """
objectives:
  instruction:
    reference: 0.0
    tasks: [{task: words, metric: exact_match, search_items: 400, trial_items: 40,
             validate_items: 200}]
  reasoning:
    reference: 0.25
    tasks: [{task: holders, metric: acc, search_items: 400, trial_items: 40, validate_items: 200}]
"""
METRICS = {"words": "exact_match", "holders": "acc"}
ORDER = {
    Rung.SEARCH: {task: list(range(400)) for task in METRICS},
    Rung.VALIDATE: {task: list(range(400, 600)) for task in METRICS},
}


class Items(Bench):
    """Answers an item right where its difficulty is below the candidate's ability."""

    def score(
        self,
        candidate: FakeCandidate,
        rung: Any,
        on_progress: Callable[[Any], None],
        items: Any = None,
    ) -> dict[str, TaskResult]:
        self.before_score(next(self.scorings))
        self.scored.append((rung, candidate.digest))
        abilities = dict(zip(METRICS, trade_off(candidate.recipe), strict=True))
        return {
            task: answered(task, ability, (items or ORDER[rung])[task])
            for task, ability in abilities.items()
        }


def answered(task: str, ability: float, items: list[int]) -> TaskResult:
    """What a candidate of an ability gives on items of a task."""
    right = [float(difficulty(task, item) < ability) for item in items]
    found = tuple(
        ItemResult(task, item, {METRICS[task]: value})
        for item, value in zip(items, right, strict=True)
    )
    mean = sum(right) / len(right)
    error = math.sqrt(mean * (1 - mean) / len(right))
    return TaskResult(task, {METRICS[task]: MetricValue(mean, error)}, len(right), 0, found)


def difficulty(task: str, item: int) -> float:
    """How able a candidate must be to answer an item right."""
    return int(hashlib.sha256(f"{task} {item}".encode()).hexdigest()[:6], 16) / 2**24


def on_parts(bench: Bench | None = None, **changes: Any) -> Search:
    """The search."""
    objectives = Objectives.from_yaml(OBJECTIVES, Path())
    parts: dict[str, Any] = {"objectives": objectives, "order": lambda: ORDER}
    return search(bench or Items(), **(parts | changes))
