"""The likelihood proxy: how sure a candidate is of right answers, without generating any.

For a task whose answers are generated, the mean log-probability of a token of a specialist's
correct answer; for a task of choices, the gold answer's margin over the best wrong one. Both in
nat, both smooth where accuracies jump.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from lm_eval.api.instance import Instance

from mergesearch.errors import ObjectivesError, ScoringError
from mergesearch.objectives import PROXY_METRIC, ItemResult, MetricValue, TaskResult
from mergesearch.scoring.harness import Item, LoadedTask, Member
from mergesearch.scoring.requests import Outcome

CHOICES, ANSWERS = "multiple_choice", "generate_until"


def check_proxied(task: LoadedTask) -> None:
    """Refuse a proxy for a task that has none.

    Raises:
        ObjectivesError: its metric is a likelihood already.
    """
    for member in task.members:
        if member.task.OUTPUT_TYPE not in (CHOICES, ANSWERS):
            raise ObjectivesError(
                f"a task of type {member.task.OUTPUT_TYPE} needs no proxy",
                where=task.name,
                expected="a task whose answers are generated or chosen",
                fix="leave out `proxy`: its metric is smooth and needs no generation",
            )


def needs_answers(task: LoadedTask) -> bool:
    """Whether the task's proxy is made of a specialist's answers."""
    return any(member.task.OUTPUT_TYPE == ANSWERS for member in task.members)


def proxy_items(items: Sequence[Item], answers: Mapping[int, str]) -> list[Item]:
    """Return the items that the proxy is measured on, with its requests.

    Items with choices keep theirs; of the others those with an answer, whose likelihood after
    their prompt is asked for.

    Args:
        items: of one task, with the requests of its own metrics.
        answers: correct ones, by the number of the item in the task.
    """
    made: list[Item] = []
    for item in items:
        answer = answers.get(item.member.offset + item.index)
        if item.member.task.OUTPUT_TYPE == CHOICES:
            made.append(item)
        elif answer is not None:
            made.append(Item(item.member, item.index, [_likelihood_of(item.requests[0], answer)]))
    return made


def _likelihood_of(asked: Instance, answer: str) -> Instance:
    return Instance(
        request_type="loglikelihood",
        doc=asked.doc,
        arguments=(asked.args[0], answer),
        idx=0,
        metadata=(asked.task_name, asked.doc_id, 1),
    )


def proxy_result(
    task: LoadedTask, items: Sequence[Item], outcomes: Mapping[int, Outcome]
) -> TaskResult:
    """Return the proxy of a task: its mean over items, with the mean's standard error.

    Args:
        task: the task.
        items: those of `proxy_items`.
        outcomes: of every request, by its id.

    Raises:
        ScoringError: fewer than two items have a value.
    """
    normalized = any(name.startswith("acc_norm") for name in task.used)
    results = [_item_result(task, item, outcomes, normalized) for item in items]
    values = [one.metrics[PROXY_METRIC] for one in results if one.unscored is None]
    if len(values) < 2:
        reasons = [one.unscored for one in results if one.unscored]
        raise ScoringError(
            f"the proxy has {len(values)} of {len(results)} items", where=task.name,
            expected=f"at least two; the first reason: {(reasons or ['no reference texts'])[0]}",
        )  # fmt: skip
    error = statistics.stdev(values) / math.sqrt(len(values))
    metrics = {PROXY_METRIC: MetricValue(statistics.fmean(values), error)}
    return TaskResult(task.name, metrics, len(values), len(results) - len(values), tuple(results))


def _item_result(
    task: LoadedTask, item: Item, outcomes: Mapping[int, Outcome], normalized: bool
) -> ItemResult:
    found = [outcomes[id(one)] for one in item.requests]
    failure = next((one.failure for one in found if one.failure is not None), None)
    metrics = {} if failure else {PROXY_METRIC: _value(item, found, normalized)}
    return ItemResult(
        task=task.name,
        item=item.member.offset + item.index,
        metrics=metrics,
        unscored=failure,
        tokens_in=sum(one.tokens_in for one in found),
        seconds=sum(one.seconds for one in found),
        cut=sum(one.cut for one in found),
    )


def _value(item: Item, found: Sequence[Outcome], normalized: bool) -> float:
    if item.member.task.OUTPUT_TYPE == ANSWERS:
        (only,) = found
        return float(only.value[0]) / max(1, only.tokens_predicted)
    choices, gold = _choices(item.member, item.requests[0].doc)
    values = [float(one.value[0]) for one in found[: len(choices)]]
    if normalized:  # as acc_norm does (lm_eval/api/task.py, `process_results`)
        values = [one / len(choice) for one, choice in zip(values, choices, strict=True)]
    return margin(values, gold)


def margin(values: Sequence[float], gold: Sequence[int]) -> float:
    """Return by how much the best gold value exceeds the best other one."""
    best = max(values[index] for index in gold)
    return best - max(value for index, value in enumerate(values) if index not in gold)


def _choices(member: Member, doc: Mapping[str, Any]) -> tuple[list[str], list[int]]:
    """Return a document's choices and the indices of the right ones."""
    task = member.task
    choices = list(task.doc_to_choice(doc))
    gold = task.doc_to_text(doc) if task.multiple_input else task.doc_to_target(doc)
    listed = gold if isinstance(gold, list) else [gold]
    return choices, [one if isinstance(one, int) else choices.index(one) for one in listed]
