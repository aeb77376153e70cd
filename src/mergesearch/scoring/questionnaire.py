"""What every candidate is asked: the items of all tasks with their prompts, made once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mergesearch.errors import ScoringError
from mergesearch.objectives import Items, Objectives, References, Rung, TaskResult
from mergesearch.scoring.harness.items import Attempt, Item, build_items
from mergesearch.scoring.harness.loading import load_tasks
from mergesearch.scoring.harness.tasks import LoadedTask
from mergesearch.scoring.results import (
    check_proxied,
    needs_answers,
    proxy_items,
    proxy_result,
    task_result,
)
from mergesearch.scoring.template import ChatTemplate

Attempts = Mapping[str, Sequence[Attempt]]
"""A candidate's attempts at the items of each task."""


class Questionnaire:
    """The items of an objectives file; prompts are made anew for each chat template only.

    Attributes:
        tasks: Loaded tasks by name.

    Raises:
        ObjectivesError: See `load_tasks`; or a task has no proxy.
    """

    def __init__(self, objectives: Objectives, *, trust_tasks: bool = False) -> None:
        self._objectives = objectives
        loaded = load_tasks(objectives, trust_tasks=trust_tasks)
        self.tasks: Mapping[str, LoadedTask] = {task.name: task for task in loaded}
        self._proxied = set(objectives.proxied_tasks())
        for name in self._proxied:
            check_proxied(self.tasks[name], objectives.place_of(name))
        self._references: References = {}
        self._items: dict[tuple[Rung, ChatTemplate | None], dict[str, list[Item]]] = {}

    def order(self, rung: Rung) -> Items:
        """Return the items of a rung in their fixed order; the proxy's are those of the search."""
        return {name: task.items(rung) for name, task in self.tasks.items()}

    def use_references(self, references: References) -> None:
        """Take the specialists' correct answers, which the rung `proxy` needs."""
        self._references = references
        self._items = {key: items for key, items in self._items.items() if key[0] != Rung.PROXY}

    def attempts(self, template: ChatTemplate | None, rung: Rung, items: Items | None) -> Attempts:
        """Return new attempts at a rung's items.

        Args:
            template: Template of the candidate's prompts; None: they are plain texts.
            items: Those of the items that are wanted, in any order; None: all.

        Raises:
            ScoringError: The template fails, there are no answers for a proxy, or an item is not
                one of the rung's.
        """
        key = rung, template
        if key not in self._items:
            self._items[key] = {
                name: self._build(task, rung, template) for name, task in self.tasks.items()
            }
        built = self._items[key]
        wanted = built if items is None else self._some(built, rung, items)
        return {name: [Attempt(item) for item in listed] for name, listed in wanted.items()}

    def results(self, rung: Rung, attempts: Attempts) -> dict[str, TaskResult]:
        """Return what finished attempts give, by task.

        Raises:
            ScoringError: A metric or a proxy cannot be computed.
        """
        return {
            name: (proxy_result if self._has_proxy(name, rung) else task_result)(
                self.tasks[name], tried
            )
            for name, tried in attempts.items()
        }

    def _has_proxy(self, name: str, rung: Rung) -> bool:
        return rung == Rung.PROXY and name in self._proxied

    def _build(self, task: LoadedTask, rung: Rung, template: ChatTemplate | None) -> list[Item]:
        items = build_items(task, rung, self._objectives, template)
        if not self._has_proxy(task.name, rung):
            return items
        answers = self._references.get(task.name, {})
        if not answers and needs_answers(task):
            raise ScoringError("no reference texts for its proxy", where=task.name)
        return proxy_items(items, answers)

    def _some(
        self, built: Mapping[str, list[Item]], rung: Rung, items: Items
    ) -> dict[str, list[Item]]:
        """The wanted ones of a rung's items, in the rung's order; tasks with none are left out."""
        order = self.order(rung)
        for name, numbers in items.items():
            if unknown := set(numbers) - set(order.get(name, ())):
                raise ScoringError(f"item {min(unknown)} is not among the {rung} items", where=name)
        chosen: dict[str, list[Item]] = {}
        for name, listed in built.items():
            wanted = set(items.get(name, ()))
            if some := [item for item in listed if item.number in wanted]:
                chosen[name] = some
        return chosen


def misfits(attempts: Attempts) -> list[str]:
    """Return a sentence for each task with prompts that do not fit the context."""
    notes: list[str] = []
    for name, tried in attempts.items():
        cut = sum(any(outcome.cut for outcome in attempt.outcomes) for attempt in tried)
        if cut:
            notes.append(
                f"{name}: {cut} of {len(tried)} prompts are longer than the context and lose "
                "their beginning"
            )
        failures = [
            outcome.failure
            for attempt in tried
            for outcome in attempt.outcomes[:1]
            if outcome.failure is not None
        ]
        if failures:
            notes.append(
                f"{name}: {len(failures)} of {len(tried)} items cannot be scored; the first "
                f"reason: {failures[0]}"
            )
    return notes
