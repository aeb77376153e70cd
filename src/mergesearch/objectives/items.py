"""The division of a task's items into those that are searched and those that confirm, and parts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

from mergesearch.errors import ObjectivesError

Items = Mapping[str, Sequence[int]]
"""Numbers of items by task."""


def items_by_task(items: Iterable[tuple[str, int]]) -> dict[str, list[int]]:
    """Return items, each given by its task and number, as numbers by task."""
    numbers: dict[str, list[int]] = {}
    for task, number in items:
        numbers.setdefault(task, []).append(number)
    return numbers


def split_items(
    contents: Sequence[str], n_search: int, n_validate: int, seed: int
) -> tuple[list[int], list[int]]:
    """Divide items into disjoint search and validate sets by a seeded hash of their content.

    Items are ordered by SHA-256 of seed and content; the first `n_search` are search items, the
    next `n_validate` validate items. Of items with the same content only the first takes part, so
    that no validate item was seen in the search. A smaller `n_search` gives a subset.

    Args:
        contents: One text per item, in the task's order.

    Returns:
        Indices of both sets, each in the order of the hash.

    Raises:
        ObjectivesError: There are fewer distinct items than asked for.
    """
    distinct = {content: index for index, content in reversed(list(enumerate(contents)))}
    order = sorted(
        distinct, key=lambda content: hashlib.sha256(f"{seed}\0{content}".encode()).digest()
    )
    wanted = n_search + n_validate
    if len(order) < wanted:
        raise ObjectivesError(
            f"{wanted} items are requested, but the task has {len(order)} distinct ones",
            fix="lower search_items or validate_items",
        )
    chosen = [distinct[content] for content in order[:wanted]]
    return chosen[:n_search], chosen[n_search:]


def part_of(order: Items, start: float, stop: float) -> dict[str, list[int]]:
    """Return the items of each task from one share of its order to another.

    Parts that meet at a share leave no item out, and have none in common.

    Args:
        order: Items of each task in their fixed order.
        start: Share of the items that come before the part, from 0 to 1.
        stop: Share of the items that the part ends at, from 0 to 1.
    """
    return {
        task: list(numbers[round(start * len(numbers)) : round(stop * len(numbers))])
        for task, numbers in order.items()
    }
