"""`search trials`: every trial of a run."""

from __future__ import annotations

from typing import Annotated

import typer

from mergesearch._system.terminal import say
from mergesearch.cli import completion
from mergesearch.cli.options import AsCsv, Folder
from mergesearch.cli.output import csv_text
from mergesearch.errors import InputError
from mergesearch.report.progress import working
from mergesearch.report.terminal import SafeConsole
from mergesearch.report.trials import in_order, render_trials
from mergesearch.runs.run import Run


def command(
    folder: Folder,
    sort: Annotated[
        str,
        typer.Option(
            metavar="WHAT",
            help="number, seconds, or an objective (best first).",
            autocompletion=completion.orders,
        ),
    ] = "number",
    as_csv: AsCsv = False,
) -> None:
    """Show all trials of a run as a table.

    Failed trials come with the reason; the front's members and the knee are marked.

    Example: search trials results/demo --sort reasoning
    """
    run = Run(folder)
    axes = run.record.axes
    known = ["number", "seconds", *(axis.name for axis in axes)]
    if sort not in known:
        raise InputError(f"cannot sort by {sort!r}", where="--sort", expected=", ".join(known))
    with working("reading the run"):
        trials, front = in_order(run.trials(), axes, sort), run.front()
    if as_csv:
        rows = {row["trial"]: row for row in run.rows()}
        say(csv_text([rows[trial.number] for trial in trials]), end="")
    else:
        SafeConsole().print(render_trials(front, trials))
