"""From task results to scores, and to differences of two candidates.

An objective is a weighted mean of task metrics. Its standard error is that of the weighted mean of
independent means: sqrt(sum((w_i / W)^2 * se_i^2)).
"""

from __future__ import annotations

import math
import statistics
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
        ScoringError: a task gave no value for a metric that the objective uses.
    """
    proxied = rung == Rung.PROXY and objective.proxy is not None
    parts = [
        (use, _proxy(use, results) if proxied else _normalized(use, results))
        for use in objective.uses
    ]
    return _weighted(objective, parts, results)


def difference(
    objective: Objective, first: Mapping[str, TaskResult], second: Mapping[str, TaskResult]
) -> Score:
    """Return the paired difference, first minus second, on the items that both scored.

    Raises:
        ScoringError: a task has fewer than two common items.
    """
    results = _paired(objective, first, second)
    parts = [
        (use, _scaled(_metric(results[use.task], use.metric), 0.0, use.chance or 0.0))
        for use in objective.uses
    ]
    return _weighted(objective, parts, results)


def check_unscored(result: TaskResult, limit: float) -> None:
    """Refuse a task of whose items more than the share `limit` could not be scored.

    Raises:
        ScoringError: naming the first item's reason.
    """
    total = result.n + result.n_unscored
    if total == 0 or result.n_unscored > limit * total:
        reasons = [one.unscored for one in result.items if one.unscored]
        raise ScoringError(
            f"{result.n_unscored} of {total} items could not be scored",
            where=result.task,
            expected=f"at most {limit:.0%}; the first reason: {(reasons or ['none given'])[0]}",
            fix="look at the items with `search show`; `max_unscored` in the objectives file "
            "raises the limit for a new run",
        )


def _weighted(
    objective: Objective,
    parts: list[tuple[TaskUse, MetricValue]],
    results: Mapping[str, TaskResult],
) -> Score:
    total = sum(use.weight for use, _ in parts)
    shares = [(use.weight / total, one) for use, one in parts]
    used = [results[name] for name in dict.fromkeys(use.task for use in objective.uses)]
    return Score(
        sum(share * one.value for share, one in shares),
        math.sqrt(sum((share * one.stderr) ** 2 for share, one in shares)),
        sum(one.n for one in used),
        sum(one.n_unscored for one in used),
    )


def _proxy(use: TaskUse, results: Mapping[str, TaskResult]) -> MetricValue:
    return _metric(results[use.task], PROXY_METRIC)


def _normalized(use: TaskUse, results: Mapping[str, TaskResult]) -> MetricValue:
    found = _metric(results[use.task], use.metric)
    return found if use.chance is None else _scaled(found, use.chance, use.chance)


def _scaled(one: MetricValue, offset: float, chance: float) -> MetricValue:
    return MetricValue((one.value - offset) / (1 - chance), one.stderr / (1 - chance))


def _metric(result: TaskResult, name: str) -> MetricValue:
    if name not in result.metrics:
        raise ScoringError(
            f"no metric {name!r}", where=result.task, expected=", ".join(sorted(result.metrics))
        )
    return result.metrics[name]


def _paired(
    objective: Objective, first: Mapping[str, TaskResult], second: Mapping[str, TaskResult]
) -> dict[str, TaskResult]:
    """Task results whose values are mean per-item differences."""
    paired: dict[str, TaskResult] = {}
    for task in dict.fromkeys(use.task for use in objective.uses):
        other = {item.item: item for item in second[task].items if not item.unscored}
        pairs = [
            (item, other[item.item])
            for item in first[task].items
            if not item.unscored and item.item in other
        ]
        if len(pairs) < 2:
            raise ScoringError("fewer than two items that both scored", where=task)
        metrics: dict[str, MetricValue] = {}
        for name in pairs[0][0].metrics:
            gaps = [a.metrics[name] - b.metrics[name] for a, b in pairs]
            error = statistics.stdev(gaps) / math.sqrt(len(gaps))
            metrics[name] = MetricValue(statistics.fmean(gaps), error)
        lost = len(first[task].items) - len(pairs)
        paired[task] = TaskResult(task, metrics, len(pairs), lost)
    return paired
