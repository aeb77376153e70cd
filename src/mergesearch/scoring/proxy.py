"""The likelihood proxy: how sure a candidate is of right answers, without generating any.

For a task whose answers are generated, the mean log-probability of a token of a specialist's
correct answer; for a task of choices, the gold answer's margin over the best wrong one. Both in
nat, both smooth where accuracies jump.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mergesearch.errors import ObjectivesError
from mergesearch.scoring.harness.items import Attempt, Item
from mergesearch.scoring.harness.tasks import LoadedTask

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
