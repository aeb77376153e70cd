"""The difference of two candidates on the items that both scored.

Candidates of one search are scored on the same items, so most of what makes a score uncertain is
common to both and leaves their difference. Every item of a task has one value: the sum of its
metrics by their weights in the objective, each on the scale from chance level. A task's difference
is the mean d of its items' differences with the error s / sqrt(n), where s is their standard
deviation; tasks are independent of each other.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mergesearch.errors import ScoringError
from mergesearch.objectives.types import ItemResult, Objective, TaskUse, normal_interval


@dataclass(frozen=True)
class TaskDifference:
    """By how much the first candidate is ahead of the second on one task.

    Attributes:
        task: Name of the task.
        value: The task's part of the objective's difference, first minus second.
        stderr: Standard error of the value.
        n: Number of items that both scored.
        n_unscored: Number of items that only one of both, or neither, scored.
        better: Number of items on which the first is better.
        worse: Number of items on which the first is worse.
    """

    task: str
    value: float
    stderr: float
    n: int
    n_unscored: int
    better: int
    worse: int

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Return the ends of the confidence interval of the value (normal approximation)."""
        return normal_interval(self.value, self.stderr, confidence)


@dataclass(frozen=True)
class PairedDifference:
    """By how much the first candidate is ahead of the second in one objective.

    Attributes:
        objective: Name of the objective.
        value: Difference of the objective, first minus second, whatever its direction.
        stderr: Standard error of the value.
        tasks: The objective's tasks, in its order.
    """

    objective: str
    value: float
    stderr: float
    tasks: tuple[TaskDifference, ...]

    @property
    def n(self) -> int:
        """Number of items that both scored."""
        return sum(task.n for task in self.tasks)

    @property
    def n_unscored(self) -> int:
        """Number of items that only one of both, or neither, scored."""
        return sum(task.n_unscored for task in self.tasks)

    @property
    def better(self) -> int:
        """Number of items on which the first is better."""
        return sum(task.better for task in self.tasks)

    @property
    def worse(self) -> int:
        """Number of items on which the first is worse."""
        return sum(task.worse for task in self.tasks)

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Return the ends of the confidence interval of the difference (normal approximation)."""
        return normal_interval(self.value, self.stderr, confidence)


def paired_difference(
    objective: Objective, first: Iterable[ItemResult], second: Iterable[ItemResult]
) -> PairedDifference:
    """Return an objective's difference, first minus second, on the items that both scored.

    It is the difference of the objective's values where those are means over items; a metric that
    is not (a perplexity, a correlation) is compared by the mean of its items' values.

    Args:
        objective: Metrics, weights and direction.
        first: Items of one candidate, of any tasks.
        second: Items of the other.

    Raises:
        ScoringError: A task has fewer than two items that both scored, or lacks a metric.
    """
    ours, theirs = list(first), list(second)
    names = dict.fromkeys(use.task for use in objective.uses)
    tasks = tuple(_task_difference(objective, name, ours, theirs) for name in names)
    value = math.fsum(task.value for task in tasks)
    variance = math.fsum(task.stderr**2 for task in tasks)
    return PairedDifference(objective.name, value, math.sqrt(variance), tasks)


def _task_difference(
    objective: Objective, task: str, first: Sequence[ItemResult], second: Sequence[ItemResult]
) -> TaskDifference:
    ours, theirs = ({item.item: item for item in items if item.task == task}
                    for items in (first, second))  # fmt: skip
    both = [
        number
        for number in ours.keys() & theirs.keys()
        if ours[number].unscored is None and theirs[number].unscored is None
    ]
    if len(both) < 2:
        raise ScoringError(
            f"{len(both)} items that both scored",
            where=task,
            expected="2 or more",
            fix="compare them on the validate items, where both are scored on these",
        )
    total = sum(use.weight for use in objective.uses)
    uses = [(use, use.weight / total) for use in objective.uses if use.task == task]
    gaps = [
        math.fsum(share * _gap(use, ours[number], theirs[number]) for use, share in uses)
        for number in sorted(both)
    ]
    sign = 1 if objective.direction == "maximize" else -1
    return TaskDifference(
        task=task,
        value=statistics.fmean(gaps),
        stderr=statistics.stdev(gaps) / math.sqrt(len(gaps)),
        n=len(both),
        n_unscored=len(ours.keys() | theirs.keys()) - len(both),
        better=sum(sign * gap > 0 for gap in gaps),
        worse=sum(sign * gap < 0 for gap in gaps),
    )


def _gap(use: TaskUse, ours: ItemResult, theirs: ItemResult) -> float:
    """The difference of one item in one metric, on the scale from chance level to 1."""
    for item in (ours, theirs):
        if use.metric not in item.metrics:
            raise ScoringError(
                f"no metric {use.metric!r}",
                where=f"{use.task}, item {item.item}",
                expected=", ".join(sorted(item.metrics)),
            )
    return (ours.metrics[use.metric] - theirs.metrics[use.metric]) / (1 - (use.chance or 0.0))
