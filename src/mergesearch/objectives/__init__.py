"""Objectives: which tasks are scored on which items, and how results become scores."""

from mergesearch.objectives.file import Objectives
from mergesearch.objectives.items import split_items
from mergesearch.objectives.types import (
    PROXY,
    RUNGS,
    Direction,
    ItemResult,
    MetricValue,
    Objective,
    References,
    Runtime,
    Score,
    TaskResult,
    TaskUse,
)

__all__ = [
    "PROXY",
    "RUNGS",
    "Direction",
    "ItemResult",
    "MetricValue",
    "Objective",
    "Objectives",
    "References",
    "Runtime",
    "Score",
    "TaskResult",
    "TaskUse",
    "split_items",
]
