"""Objectives: which tasks are scored on which items, and how results become scores."""

from mergesearch.objectives.file import Objectives
from mergesearch.objectives.items import Items, items_by_task, part_of, split_items
from mergesearch.objectives.paired import PairedDifference, TaskDifference, paired_difference
from mergesearch.objectives.types import (
    ITEM_RUNGS,
    KV_BYTES,
    PROXY_METRIC,
    Direction,
    ItemResult,
    KvType,
    MetricValue,
    Objective,
    References,
    Rung,
    Runtime,
    Score,
    TaskResult,
    TaskUse,
    Thinking,
    scores_to_dict,
)

__all__ = [
    "ITEM_RUNGS",
    "KV_BYTES",
    "PROXY_METRIC",
    "Direction",
    "ItemResult",
    "Items",
    "KvType",
    "MetricValue",
    "Objective",
    "Objectives",
    "PairedDifference",
    "References",
    "Rung",
    "Runtime",
    "Score",
    "TaskDifference",
    "TaskResult",
    "TaskUse",
    "Thinking",
    "items_by_task",
    "paired_difference",
    "part_of",
    "scores_to_dict",
    "split_items",
]
