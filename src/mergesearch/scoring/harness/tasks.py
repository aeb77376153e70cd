"""A task of an objectives file as lm-eval defines it, with its items divided into rungs."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lm_eval.api.metrics import mean, stderr_for_metric
from lm_eval.api.task import Task

from mergesearch.errors import ObjectivesError
from mergesearch.objectives import Rung, TaskUse, split_items
from mergesearch.scoring.aggregate import BOOTSTRAP_DRAWS


@dataclass(frozen=True, eq=False)
class Member:
    """One lm-eval task: alone, or as part of a group.

    Attributes:
        task: Object of lm-eval.
        docs: Documents of the task, in order.
        offset: Number of its first document among those of all members.
    """

    task: Task
    docs: Sequence[dict[str, Any]]
    offset: int

    @property
    def filters(self) -> list[str]:
        """Names of the filters that answers go through."""
        return [ensemble.name for ensemble in self.task._filters]

    def declared(self) -> list[tuple[str, str]]:
        """Return (metric, filter) of every metric that the task declares."""
        return [(metric, name) for metric in self.task.aggregation() for name in self.filters]

    def aggregation(self, metric: str) -> tuple[Callable[..., Any], Callable[..., Any] | None]:
        """Return lm-eval's aggregation of a metric and its standard error, if it has one."""
        function = self.task.aggregation().get(metric, mean)
        error = stderr_for_metric(function, BOOTSTRAP_DRAWS)
        return function, None if error is None else _quietly(error)

    def choices(self, index: int) -> tuple[list[str], list[int]]:
        """Return a document's choices and the indices of the right ones."""
        task, doc = self.task, self.docs[index]
        choices = list(task.doc_to_choice(doc))
        gold = task.doc_to_text(doc) if task.multiple_input else task.doc_to_target(doc)
        listed = gold if isinstance(gold, list) else [gold]
        return choices, [
            answer if isinstance(answer, int) else choices.index(answer) for answer in listed
        ]


@dataclass(frozen=True, eq=False)
class LoadedTask:
    """A task or group of an objectives file.

    Attributes:
        name: Name in the objectives file.
        members: Tasks of lm-eval that it consists of; one, unless it is a group.
        by_size: Whether a group weighs its tasks by their numbers of items.
        order: Numbers of the items of each rung that has its own, in their fixed order.
        used: Names of metrics that the objectives file uses.
    """

    name: str
    members: Sequence[Member]
    by_size: bool
    order: Mapping[Rung, Sequence[int]]
    used: frozenset[str]

    def metrics(self) -> list[str]:
        """Return the names by which an objectives file can use the task's metrics."""
        declared = dict.fromkeys(pair for member in self.members for pair in member.declared())
        filters = {name for member in self.members for name in member.filters}
        plain = [metric for metric, _ in declared] if len(filters) == 1 else []
        return [*dict.fromkeys(plain), *(f"{metric},{name}" for metric, name in declared)]

    def means(self) -> list[str]:
        """Return the used metrics whose value is the mean over the task's items."""
        if len(self.members) > 1 and not self.by_size:
            return []
        return [
            name
            for name in sorted(self.used)
            if all(member.aggregation(name.split(",")[0])[0] is mean for member in self.members)
        ]

    def items(self, rung: Rung) -> Sequence[int]:
        """Return the numbers of a rung's items in their fixed order."""
        return self.order[Rung.SEARCH if rung == Rung.PROXY else rung]

    def indices(self, member: Member, rung: Rung) -> list[int]:
        """Return the indices of a member's documents on a rung, in the member's order."""
        numbers = range(member.offset, member.offset + len(member.docs))
        return sorted(number - member.offset for number in self.items(rung) if number in numbers)


def divide_items(
    members: Sequence[Member], use: TaskUse, seed: int
) -> Mapping[Rung, Sequence[int]]:
    """Return the numbers of each rung's items in their fixed order, that of a hash of the content.

    The documents of both rungs leave the pools that few-shot examples are drawn from.

    Args:
        members: Tasks of a group, or a single one.
        use: Numbers of items.

    Raises:
        ObjectivesError: There are fewer distinct items than asked for, or too few examples left.
    """
    contents = [_content(doc) for member in members for doc in member.docs]
    search, validate = split_items(contents, use.search_items, use.validate_items, seed)
    scored = {contents[number] for number in (*search, *validate)}
    for member in members:
        _keep_examples_apart(member, scored)
    return {Rung.SEARCH: search, Rung.VALIDATE: validate}


def _keep_examples_apart(member: Member, scored: set[str]) -> None:
    """Take scored documents out of the pool that few-shot examples are drawn from."""
    sampler = getattr(member.task, "sampler", None)
    shots = member.task.get_config("num_fewshot")
    if not shots or sampler is None:
        return
    pool = list(sampler.fewshot_docs())
    apart = [doc for doc in pool if _content(doc) not in scored]
    if len(apart) < len(pool):
        if len(apart) <= shots:
            raise ObjectivesError(
                f"{len(apart)} documents are left for {shots} few-shot examples",
                fix="lower search_items or validate_items",
            )
        sampler.fewshot_indices = None
        sampler.replace_df(apart)


def _content(document: Any) -> str:
    return json.dumps(document, sort_keys=True, ensure_ascii=False, default=str)


def _quietly(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function with what it prints thrown away."""

    def quiet(*arguments: Any) -> Any:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            return function(*arguments)

    return quiet
