"""Which items a trial is scored on: blocks of the search items that few trials have seen so far.

Items that no other trial has seen compare a candidate with nothing, and items that all have seen
are learnt by heart. So the items in use grow with what has been scored: each is seen by about
`REPEATS` trials before others come in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mergesearch.objectives import Items, Objectives

BLOCK = 20
"""Items of a task that are always scored together."""
REPEATS = 12
"""Trials that an item is scored on, about, before the items in use are more."""

PARTS = 2
"""Parts that a trial is scored on at most, each as large as the first."""

Seen = Mapping[str, Mapping[int, int]]
"""How many trials were scored on each item, by task and item."""


def trial_sizes(objectives: Objectives) -> dict[str, int]:
    """Return how many items of each task a trial is scored on at first."""
    return {use.task: use.trial_items or use.search_items for use in objectives.tasks()}


def most_items(objectives: Objectives) -> int:
    """Return how many items a trial is scored on at most."""
    parts = PARTS if objectives.scores_parts else 1
    sizes = trial_sizes(objectives)
    return sum(min(parts * sizes[use.task], use.search_items) for use in objectives.tasks())


def next_items(
    order: Items, sizes: Mapping[str, int], seen: Seen, own: Items, rng: np.random.Generator
) -> dict[str, list[int]]:
    """Return the next items that a trial is scored on, those that fewest trials have seen.

    Args:
        order: All items of each task in their fixed order.
        sizes: Number of items to return of each task; fewer where fewer are left.
        seen: Number of trials that were scored on each item.
        own: Items that the trial itself was scored on.
        rng: Generator that decides between blocks that equally many have seen.
    """
    return {
        task: _of_task(order[task], size, seen.get(task, {}), frozenset(own.get(task, ())), rng)
        for task, size in sizes.items()
    }


def _of_task(
    order: Sequence[int],
    size: int,
    seen: Mapping[int, int],
    own: frozenset[int],
    rng: np.random.Generator,
) -> list[int]:
    in_use = max(2 * size, sum(seen.values()) // REPEATS)
    blocks = [list(order[start : start + BLOCK]) for start in range(0, len(order), BLOCK)]
    n_blocks = -(-in_use // BLOCK)
    chances = rng.random(len(blocks))

    def rank(index: int) -> tuple[bool, float, float]:
        items = blocks[index]
        trials = sum(seen.get(item, 0) for item in items) / len(items)
        return index >= n_blocks, round(trials), float(chances[index])

    free = [index for index, items in enumerate(blocks) if own.isdisjoint(items)]
    chosen = [item for index in sorted(free, key=rank) for item in blocks[index]]
    return chosen[:size]
