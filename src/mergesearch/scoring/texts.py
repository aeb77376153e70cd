"""What items ask, for people who judge answers: read from the tasks when somebody looks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mergesearch.objectives import Objectives

if TYPE_CHECKING:
    from mergesearch.scoring.harness.tasks import LoadedTask, Member


@dataclass(frozen=True)
class ItemText:
    """What an item asks.

    Attributes:
        question: Text of the question, without the few-shot examples and the chat template.
        choices: Choices, where an answer is picked; empty where it is written.
        expected: Expected answer, `|` between several.
    """

    question: str
    choices: tuple[str, ...]
    expected: str


def item_texts(
    objectives: Objectives, items: Iterable[tuple[str, int]], *, trust_tasks: bool = False
) -> dict[tuple[str, int], ItemText]:
    """Return what items ask, by task and number; this loads lm-eval, which takes some seconds.

    Args:
        objectives: Objectives of the run.
        items: Task and number of each item.
        trust_tasks: Whether task YAMLs of the task folder may run Python code of their own.

    Raises:
        ObjectivesError: A task or its data are not here.
    """
    from mergesearch.scoring.harness import environment
    from mergesearch.scoring.harness.loading import load_tasks

    environment.prepare()
    loaded = {task.name: task for task in load_tasks(objectives, trust_tasks=trust_tasks)}
    return {(task, number): _text(loaded[task], number) for task, number in items}


def _text(task: LoadedTask, number: int) -> ItemText:
    member = next(m for m in reversed(task.members) if m.offset <= number)
    index = number - member.offset
    doc = member.docs[index]
    if member.task.OUTPUT_TYPE == "multiple_choice":
        choices, right = member.choices(index)
        question = "" if member.task.multiple_input else member.task.doc_to_text(doc)
        expected = " | ".join(choices[answer].strip() for answer in right)
        return ItemText(_written(question), tuple(choice.strip() for choice in choices), expected)
    return ItemText(_written(member.task.doc_to_text(doc)), (), _written(_target(member, doc)))


def _target(member: Member, doc: Any) -> Any:
    return member.task.doc_to_target(doc)


def _written(value: Any) -> str:
    return " | ".join(map(str, value)) if isinstance(value, list) else str(value)
