"""The option `--memory`, and what the candidates of a command take of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mergesearch.budget import Workload
    from mergesearch.candidate import Template
    from mergesearch.checkpoint import Checkpoint
    from mergesearch.objective import Runtime
    from mergesearch.recipe import Recipe

Memory = Annotated[
    str | None,
    typer.Option(
        "--memory", metavar="SIZE", help="Memory to take at most, such as 12GB; default: all free."
    ),
]


def memory_budget(memory: str | None) -> int | None:
    """Return the bytes that `--memory` allows, else those that are free; None if not known.

    Raises:
        InputError: the option's text is no size.
    """
    from mergesearch.budget import parse_size
    from mergesearch.machine import available_memory

    return available_memory() if memory is None else parse_size(memory)


def largest_workload(
    recipes: Iterable[Recipe],
    parents: Mapping[str, Checkpoint],
    template: Template | None,
    runtime: Runtime | None,
    threads: int | None,
) -> Workload:
    """Return what the largest candidate takes; planning proves that every recipe can be built.

    Without a runtime it is only built.

    Raises:
        RecipeError, CheckpointError: one of them cannot.
    """
    from mergesearch.budget import Workload, shape_of
    from mergesearch.candidate import planned_bytes
    from mergesearch.machine import available_cores
    from mergesearch.merge import plan_merge

    cores = available_cores()
    works = []
    for recipe in recipes:
        plan = plan_merge(recipe, parents)
        size, shape = planned_bytes(recipe, plan, template), shape_of(plan.layout, plan.config)
        works.append(Workload(size, shape, runtime, threads or cores, cores))
    return max(works, key=lambda one: one.total)
