"""From task results to scores.

An objective is a weighted mean of task metrics. Its standard error is that of the weighted mean of
independent means: sqrt(sum((w_i / W)^2 * se_i^2)).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from mergesearch.errors import ScoringError
from mergesearch.objectives.types import (
    PROXY_METRIC,
    MetricValue,
    Objective,
    Rung,
    Score,
    TaskResult,
    TaskUse,
)


def score(objective: Objective, results: Mapping[str, TaskResult], rung: Rung) -> Score:
    """Return an objective's score on a rung from the results of its tasks.

    Raises:
        ScoringError: A task gave no value for a metric that the objective uses.
    """
    proxied = rung == Rung.PROXY and objective.proxy is not None
    total = sum(use.weight for use in objective.uses)
    value = variance = 0.0
    for use in objective.uses:
        result = results[use.task]
        metric = _metric(result, PROXY_METRIC) if proxied else _from_chance(use, result)
        value += use.weight / total * metric.value
        variance += (use.weight / total * metric.stderr) ** 2
    used = [results[task] for task in dict.fromkeys(use.task for use in objective.uses)]
    return Score(
        value,
        math.sqrt(variance),
        sum(result.n for result in used),
        sum(result.n_unscored for result in used),
    )


def check_unscored(result: TaskResult, limit: float) -> None:
    """Refuse a task of whose items more than the share `limit` could not be scored.

    Raises:
        ScoringError: Names the first item's reason.
    """
    total = result.n + result.n_unscored
    if total == 0 or result.n_unscored > limit * total:
        reasons = [item.unscored for item in result.items if item.unscored] or ["none given"]
        raise ScoringError(
            f"{result.n_unscored} of {total} items could not be scored",
            where=result.task,
            expected=f"at most {100 * limit:g} %; the first reason: {reasons[0]}",
            fix="look at the items with `search show`; `max_unscored` in the objectives file "
            "raises the limit for a new run",
        )


def _from_chance(use: TaskUse, result: TaskResult) -> MetricValue:
    """A use's metric, on the scale from chance level to 1 where the level is known."""
    metric = _metric(result, use.metric)
    if use.chance is None:
        return metric
    span = 1 - use.chance
    return MetricValue((metric.value - use.chance) / span, metric.stderr / span)


def _metric(result: TaskResult, name: str) -> MetricValue:
    if name not in result.metrics:
        raise ScoringError(
            f"no metric {name!r}", where=result.task, expected=", ".join(sorted(result.metrics))
        )
    return result.metrics[name]
