"""From a candidate's answers to the results of a task: its own metrics, or its proxy.

The likelihood proxy says how sure a candidate is of right answers, without generating any. For a
task whose answers are generated, it is the mean log-probability of a token of a specialist's
correct answer; for a task of choices, the gold answer's margin over the best wrong one. Both are in
nat, and smooth where accuracies jump.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence

from mergesearch.errors import ObjectivesError, ScoringError
from mergesearch.objectives import PROXY_METRIC, ItemResult, MetricValue, TaskResult
from mergesearch.scoring.aggregate import combine, item_value, named_metrics, standard_error
from mergesearch.scoring.harness.items import Attempt, Item, RawMetrics, raw_metrics
from mergesearch.scoring.harness.tasks import LoadedTask, Member


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


# -- proxies ---------------------------------------------------------------------------------------

_CHOICES, _ANSWERS = "multiple_choice", "generate_until"


def check_proxied(task: LoadedTask, where: str) -> None:
    """Refuse a proxy for a task that has none.

    Args:
        task: Task of an objective with a proxy.
        where: Keys that lead to it in the objectives file.

    Raises:
        ObjectivesError: Its metric is a likelihood already.
    """
    for member in task.members:
        if member.task.OUTPUT_TYPE not in (_CHOICES, _ANSWERS):
            raise ObjectivesError(
                f"{task.name} is of type {member.task.OUTPUT_TYPE}, which needs no proxy",
                where=where,
                expected="a task whose answers are generated or chosen",
                fix="leave out `proxy`: its metric is smooth and needs no generation",
            )


def needs_answers(task: LoadedTask) -> bool:
    """Whether the task's proxy is made of a specialist's answers."""
    return any(member.task.OUTPUT_TYPE == _ANSWERS for member in task.members)


def proxy_items(items: Sequence[Item], answers: Mapping[int, str]) -> list[Item]:
    """Return the items that the proxy is measured on, with its requests.

    Items with choices keep theirs; of the others those with an answer, whose likelihood after
    their prompt is asked for.

    Args:
        items: Items of one task, with the requests of its own metrics.
        answers: Correct answers by the number of the item in the task.
    """
    made: list[Item] = []
    for item in items:
        if item.member.task.OUTPUT_TYPE == _CHOICES:
            made.append(item)
        elif item.number in answers:
            made.append(item.asking(answers[item.number]))
    return made


def proxy_value(task: LoadedTask, attempt: Attempt) -> float:
    """Return the proxy of one item in nat: per token of an answer, or a margin between choices.

    Args:
        task: The item's task; where its metric is `acc_norm`, choices count per character.
        attempt: Answers to the item's requests, all of them with a value.
    """
    member, outcomes = attempt.item.member, attempt.outcomes
    if member.task.OUTPUT_TYPE == _ANSWERS:
        (only,) = outcomes
        return float(only.value[0]) / max(1, only.tokens_predicted)
    choices, gold = member.choices(attempt.item.index)
    values = [float(outcome.value[0]) for outcome in outcomes[: len(choices)]]
    if any(name.startswith("acc_norm") for name in task.used):
        # as acc_norm does (lm_eval/api/task.py, `process_results`)
        values = [value / len(choice) for value, choice in zip(values, choices, strict=True)]
    return margin(values, gold)


def margin(values: Sequence[float], gold: Sequence[int]) -> float:
    """Return by how much the best gold value exceeds the best other one."""
    best = max(values[index] for index in gold)
    return best - max(value for index, value in enumerate(values) if index not in gold)
