"""The division of a task's items into rungs, and few-shot examples that belong to none."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from mergesearch.errors import ObjectivesError
from mergesearch.objectives import Rung, TaskUse, split_items
from mergesearch.scoring.harness.tasks import Member


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
