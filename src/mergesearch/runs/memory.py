"""The option `--memory`, and what the candidates of a command take of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mergesearch.build import Workshop
    from mergesearch.objectives import Runtime
    from mergesearch.recipe import Recipe
    from mergesearch.runs.budget import Workload

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
    from mergesearch._system.machine import available_memory
    from mergesearch.runs.budget import parse_size

    return available_memory() if memory is None else parse_size(memory)


def largest_workload(
    workshop: Workshop, recipes: Iterable[Recipe], runtime: Runtime | None
) -> Workload:
    """Return what the largest candidate takes; planning proves that every recipe can be built.

    Without a runtime it is only built.

    Raises:
        RecipeError, CheckpointError: one of them cannot.
    """
    from mergesearch._system.machine import available_cores
    from mergesearch.runs.budget import Workload, shape_of

    cores = available_cores()
    works = []
    for recipe in recipes:
        plan = workshop.plan(recipe)
        size, shape = workshop.size(recipe), shape_of(plan.layout, plan.config)
        works.append(Workload(size, shape, runtime, workshop.threads or cores, cores))
    return max(works, key=lambda work: work.total)
