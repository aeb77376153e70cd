"""From a candidate's answers to the results of a task: its own metrics, or its proxy."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence

from mergesearch.errors import ScoringError
from mergesearch.objectives import PROXY_METRIC, ItemResult, MetricValue, TaskResult
from mergesearch.scoring.aggregate import combine, item_value, named_metrics, standard_error
from mergesearch.scoring.harness.items import Attempt, RawMetrics, raw_metrics
from mergesearch.scoring.harness.tasks import LoadedTask, Member
from mergesearch.scoring.proxy import proxy_value


def task_result(task: LoadedTask, attempts: Sequence[Attempt]) -> TaskResult:
    """Return a task's metrics, aggregated as lm-eval does.

    Raises:
        ScoringError: A metric that the objectives file uses cannot be computed.
    """
    items: list[ItemResult] = []
    per_member: list[tuple[dict[str, MetricValue], int]] = []
    for member in task.members:
        own = [attempt for attempt in attempts if attempt.item.member is member]
        raw = raw_metrics(member, own)
        items += [
            _item_result(task, attempt, _item_metrics(task, member, metrics or {}))
            for attempt, metrics in zip(own, raw, strict=True)
        ]
        scored = [metrics for metrics in raw if metrics is not None]
        per_member.append((_metrics(task, member, scored), len(scored)))
    n = sum(count for _, count in per_member)
    return TaskResult(task.name, _group(task, per_member), n, len(items) - n, tuple(items))


def proxy_result(task: LoadedTask, attempts: Sequence[Attempt]) -> TaskResult:
    """Return a task's proxy: its mean over the items of `proxy_items`, with its standard error.

    Raises:
        ScoringError: Fewer than two items have a value.
    """
    items: list[ItemResult] = []
    for attempt in attempts:
        failures = (outcome.failure for outcome in attempt.outcomes if outcome.failure is not None)
        attempt.failure = next(failures, None)
        metrics = {} if attempt.failure else {PROXY_METRIC: proxy_value(task, attempt)}
        items.append(_item_result(task, attempt, metrics))
    values = [item.metrics[PROXY_METRIC] for item in items if item.unscored is None]
    if len(values) < 2:
        reasons = [item.unscored for item in items if item.unscored]
        raise ScoringError(
            f"the proxy has {len(values)} of {len(items)} items",
            where=task.name,
            expected=f"at least two; the first reason: {(reasons or ['no reference texts'])[0]}",
        )
    value = MetricValue(statistics.fmean(values), statistics.stdev(values) / math.sqrt(len(values)))
    n_unscored = len(items) - len(values)
    return TaskResult(task.name, {PROXY_METRIC: value}, len(values), n_unscored, tuple(items))


def _item_result(task: LoadedTask, attempt: Attempt, metrics: Mapping[str, float]) -> ItemResult:
    outcomes = attempt.outcomes
    generated = attempt.item.requests[0].request_type == "generate_until"
    return ItemResult(
        task=task.name,
        item=attempt.item.number,
        metrics=metrics,
        unscored=attempt.failure,
        tokens_in=sum(outcome.tokens_in for outcome in outcomes),
        tokens_out=sum(outcome.tokens_out for outcome in outcomes),
        tokens_thought=sum(outcome.tokens_thought for outcome in outcomes),
        cut=sum(outcome.cut for outcome in outcomes),
        seconds=sum(outcome.seconds for outcome in outcomes),
        text=outcomes[0].value if generated else None,
    )


def _item_metrics(task: LoadedTask, member: Member, raw: RawMetrics) -> dict[str, float]:
    values = {key: item_value(value) for key, value in raw.items()}
    numbers = {key: value for key, value in values.items() if value is not None}
    return named_metrics(numbers, len(member.filters), task.used)


def _metrics(
    task: LoadedTask, member: Member, scored: Sequence[RawMetrics]
) -> dict[str, MetricValue]:
    """The metrics of a member's items; one that fails is left out if nothing uses it."""
    metrics: dict[str, MetricValue] = {}
    for key in dict.fromkeys(key for raw in scored for key in raw):
        values = [raw[key] for raw in scored if key in raw]
        names = named_metrics({key: None}, len(member.filters), task.used)
        aggregate, error = member.aggregation(key[0])
        try:
            value = float(aggregate(values))
            measured = MetricValue(value, standard_error(values, aggregate, error))
        except Exception as problem:
            if task.used.isdisjoint(names):
                continue
            raise ScoringError(
                f"metric {key[0]!r} cannot be computed ({type(problem).__name__}: {problem})",
                where=str(member.task.config.task),
            ) from problem
        metrics.update(dict.fromkeys(names, measured))
    return metrics


def _group(
    task: LoadedTask, per_member: Sequence[tuple[dict[str, MetricValue], int]]
) -> dict[str, MetricValue]:
    if len(per_member) == 1:
        return per_member[0][0]
    names = dict.fromkeys(name for metrics, _ in per_member for name in metrics)
    return {
        name: combine(
            [(metrics[name], count) for metrics, count in per_member if name in metrics],
            by_size=task.by_size,
        )
        for name in names
    }
