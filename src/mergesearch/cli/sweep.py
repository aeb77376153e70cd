"""`search sweep`: the straight line between two parents, which a search has to beat."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mergesearch._system.terminal import say, say_sentence
from mergesearch.cli.ending import ending, remembered
from mergesearch.cli.options import (
    Memory,
    ObjectivesFile,
    Parents,
    TemplateFile,
    Threads,
    TrustTasks,
    parse_parents,
)
from mergesearch.cli.output import out_option
from mergesearch.report.live import watch
from mergesearch.report.standing import sweep_line
from mergesearch.report.terminal import SafeConsole
from mergesearch.runs.folder import RunFolder
from mergesearch.runs.goal import DEFAULT_TRIALS
from mergesearch.runs.run import Run
from mergesearch.runs.sweep import FEWEST, against_sweep, sweep
from mergesearch.study.events import broadcast

SpaceOrRun = Annotated[
    str,
    typer.Argument(metavar="SPACE", help="YAML file, a built-in one, or the folder of a run."),
]
Between = Annotated[
    tuple[str, str] | None,
    typer.Option(metavar="A B", help="Two parents; default: the first two of the space."),
]
Out = Annotated[
    Path | None,
    out_option(
        "DIR", "Run folder of the sweep; default: DIR/sweep of a run, else results/sweep-TIME."
    ),
]
Trials = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=FEWEST,
        help=f"Number of trials in total; default: what the run cost, else {DEFAULT_TRIALS}.",
    ),
]


def command(
    space: SpaceOrRun = "demo",
    objectives: ObjectivesFile = None,
    between: Between = None,
    out: Out = None,
    trials: Trials = None,
    parent: Parents = [],  # noqa: B006
    threads: Threads = None,
    template: TemplateFile = None,
    memory: Memory = None,
    trust_tasks: TrustTasks = False,
) -> None:
    """Score the line between two parents: what a search has to beat.

    It scores points on the line from one parent to the other, and the recipe of two rounds: 1:1,
    then that mixture and the first parent 3:1. A sweep is a run like any other, without a sampler.

    Given the folder of a run, it sweeps that run's space at the same cost; `search front` then
    shows both, and says whether the search beats the sweep.

    Example: search sweep results/demo
    """
    again = remembered(parent, template, threads, memory, trust_tasks)
    with ending(again) as note, watch(SafeConsole()) as view:
        run = sweep(
            space,
            objectives,
            out,
            between=between,
            trials=trials,
            parents=parse_parents(parent),
            template=template,
            threads=threads,
            memory=memory,
            trust_tasks=trust_tasks,
            on_event=broadcast(note, view),
        )
    searched = RunFolder(Path(space))
    if searched.holds_run() and (against := against_sweep(Run(space), run.folder.path)):
        say_sentence(sweep_line(against.difference))
    say(f"run folder: {run.folder.path}")
