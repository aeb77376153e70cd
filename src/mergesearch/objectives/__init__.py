"""Objectives: which tasks are scored on which items, and how results become scores."""

from mergesearch.objectives.file import Objectives
from mergesearch.objectives.items import split_items
from mergesearch.objectives.types import (
    ITEM_RUNGS,
    PROXY_METRIC,
    Direction,
    ItemResult,
    MetricValue,
    Objective,
    References,
    Rung,
    Runtime,
    Score,
    TaskResult,
    TaskUse,
)

__all__ = [
    "ITEM_RUNGS",
    "PROXY_METRIC",
    "Direction",
    "ItemResult",
    "MetricValue",
    "Objective",
    "Objectives",
    "References",
    "Rung",
    "Runtime",
    "Score",
    "TaskResult",
    "TaskUse",
    "split_items",
]
