"""What items ask, for people who judge answers: read from the tasks when somebody looks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mergesearch.objectives import Items, Objectives

if TYPE_CHECKING:
    from mergesearch.scoring.harness.tasks import LoadedTask


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


Texts = Mapping[str, Mapping[int, ItemText]]
"""What items ask, by task and number."""


def item_texts(objectives: Objectives, items: Items, *, trust_tasks: bool = False) -> Texts:
    """Return what items ask; this loads lm-eval, which takes some seconds.

    Args:
        trust_tasks: Whether task YAMLs of the task folder may run Python code of their own.

    Raises:
        ObjectivesError: A task or its data are not here.
    """
    from mergesearch.scoring.harness import environment
    from mergesearch.scoring.harness.loading import load_tasks

    environment.prepare()
    tasks = load_tasks(objectives, trust_tasks=trust_tasks)
    return texts_of({task.name: task for task in tasks}, items)


def texts_of(tasks: Mapping[str, LoadedTask], items: Items) -> Texts:
    """Return what items of loaded tasks ask."""
    return {
        name: {number: _text(tasks[name], number) for number in numbers}
        for name, numbers in items.items()
    }


def _text(task: LoadedTask, number: int) -> ItemText:
    member = next(found for found in reversed(task.members) if found.offset <= number)
    index = number - member.offset
    doc = member.docs[index]
    if member.task.OUTPUT_TYPE == "multiple_choice":
        choices, right = member.choices(index)
        question = "" if member.task.multiple_input else member.task.doc_to_text(doc)
        expected = " | ".join(choices[answer].strip() for answer in right)
        return ItemText(_written(question), tuple(choice.strip() for choice in choices), expected)
    return ItemText(
        _written(member.task.doc_to_text(doc)), (), _written(member.task.doc_to_target(doc))
    )


def _written(value: Any) -> str:
    return " | ".join(map(str, value)) if isinstance(value, list) else str(value)
