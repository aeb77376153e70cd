"""`search run`: a search space and objectives become a Pareto front in a run folder."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from mergesearch._system.terminal import say
from mergesearch.cli.options import (
    Memory,
    Parents,
    TemplateFile,
    Threads,
    TrustTasks,
    next_time,
    parent_places,
)
from mergesearch.report import watch
from mergesearch.report.terminal import SafeConsole
from mergesearch.runs.start import DEFAULT_TRIALS, search


def command(
    space: Annotated[
        str | None,
        typer.Argument(metavar="SPACE", help="YAML file, or a built-in one; default: demo."),
    ] = None,
    objectives: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="YAML file, or a built-in one; default: the space's name."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--out",
            metavar="DIR",
            help="Run folder; an existing run goes on. Default: results/SPACE-TIME.",
        ),
    ] = None,
    trials: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, help=f"Trials in all; {DEFAULT_TRIALS} if no end is named."
        ),
    ] = None,
    hours: Annotated[
        float | None, typer.Option(metavar="H", min=0.0, help="Start no trial after that.")
    ] = None,
    until: Annotated[
        datetime | None,
        typer.Option(
            metavar="HH:MM", parser=next_time, help="Start no trial after that time of day."
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="Seed of the proposals; default: 0.")
    ] = None,
    sampler: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="gp, tpe, nsga2 or sobol; default: by the space's size."),
    ] = None,
    parent: Parents = [],  # noqa: B006
    threads: Threads = None,
    template: TemplateFile = None,
    memory: Memory = None,
    trust_tasks: TrustTasks = False,
) -> None:
    """Search a space and hand over its Pareto front.

    The front is confirmed on items that the search never saw.

    Stop it with Ctrl-C at any time; `search run --out DIR` goes on.

    Example: search run demo --trials 60 --seed 0 --out results/demo
    """
    with watch(SafeConsole()) as observe:
        run = search(
            space,
            objectives,
            out,
            trials=trials,
            hours=hours,
            until=until,
            seed=seed,
            sampler=sampler,
            parents=parent_places(parent),
            template=template,
            threads=threads,
            memory=memory,
            trust_tasks=trust_tasks,
            on_event=observe,
        )
    say(f"run folder: {run.folder.path}")
