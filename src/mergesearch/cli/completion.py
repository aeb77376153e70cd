"""What a shell is offered beside commands, options and files; Typer keeps what begins as typed.

Every command imports this module: what reads runs is imported where a shell asks.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from mergesearch.errors import MergeSearchError

if TYPE_CHECKING:
    from mergesearch.runs.run import Run


def spaces() -> list[str]:
    """Return the built-in spaces; the shell adds files."""
    from mergesearch.runs.listing import built_in_spaces

    return built_in_spaces()


def objectives() -> list[str]:
    """Return the built-in objectives; the shell adds files."""
    from mergesearch.runs.listing import built_in_objectives

    return built_in_objectives()


def samplers() -> list[str]:
    """Return the samplers."""
    from mergesearch.study.samplers import SAMPLERS

    return ["auto", *SAMPLERS]


def rungs() -> list[str]:
    """Return the rungs whose items can be looked at."""
    from mergesearch.objectives import ITEM_RUNGS

    return [*ITEM_RUNGS]


def mixes() -> list[str]:
    """Return the mixes of a GGUF."""
    from mergesearch.quantize import MIXES

    return [*MIXES]


def picks(ctx: typer.Context) -> list[str]:
    """Return what a trial of the run on the command line can be named by."""
    run = _run(ctx)
    return [] if run is None else run.names()


def orders(ctx: typer.Context) -> list[str]:
    """Return what the trials of the run on the command line can be sorted by."""
    run = _run(ctx)
    axes = () if run is None else run.record.axes
    return ["number", "seconds", *(axis.name for axis in axes)]


def tasks(ctx: typer.Context) -> list[str]:
    """Return the tasks of the run on the command line."""
    run = _run(ctx)
    return [] if run is None else [use.task for use in run.objectives().tasks()]


def parents(ctx: typer.Context) -> list[str]:
    """Return the ids of the parents in the space or recipe on the command line, each with `=`."""
    from mergesearch.runs.folder import RunFolder
    from mergesearch.runs.inputs import read_recipe, read_space
    from mergesearch.runs.kinds import Kind, kind_of

    path = _place(ctx, "space", "recipe", "file", "model", "folder", "out")
    if path is None:
        return []
    try:
        if kind_of(path) is Kind.RUN:
            path = RunFolder(path).space
        model = read_recipe(path) if kind_of(path) is Kind.RECIPE else read_space(str(path))[0]
    except MergeSearchError:
        return []
    return [f"{ref}=" for ref in model.parents()]


def _run(ctx: typer.Context) -> Run | None:
    """The run on the command line; None where there is none."""
    from mergesearch.runs.run import Run

    path = _place(ctx, "folder", "recipe")
    try:
        return None if path is None else Run(path)
    except MergeSearchError:
        return None


def _place(ctx: typer.Context, *names: str) -> Path | None:
    """The first of some parameters that is there; None where none of them is.

    After an option whose value is still to come, arguments are not read yet.
    """
    found = [ctx.params[name] for name in names if ctx.params.get(name)]
    words = [word for word in ctx.args if not word.startswith("-")]
    return next(map(Path, found + words), None)
