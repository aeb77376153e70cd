"""`search show`: one trial of a run, alone or against another."""

from __future__ import annotations

from typing import Annotated

import typer

from mergesearch._system.terminal import say
from mergesearch.cli.options import Folder, RungOption
from mergesearch.report import cut_note, gains, render_gains, render_trial
from mergesearch.report.terminal import SafeConsole
from mergesearch.runs.run import Run


def command(
    folder: Folder,
    trial: Annotated[int, typer.Argument(metavar="TRIAL", min=0, help="Number of the trial.")],
    against: Annotated[
        int | None,
        typer.Option(
            metavar="TRIAL", min=0, help="Another trial: list the items on which it did worse."
        ),
    ] = None,
    rung: RungOption = "search",
) -> None:
    """Show one trial of a run, alone or against another.

    Alone: everything on record, from its scores to its recipe.

    With --against: the items that it got right and the other trial got wrong, with the texts.

    Example: search show results/demo 17 --against 3
    """
    run = Run(folder)
    if against is None:
        record = run.trial(trial)
        SafeConsole().print(render_trial(record, run.record))
        if record.scores() and (note := cut_note(run.items(trial))):
            say(note)
        return
    first, second = run.items(trial, rung), run.items(against, rung)
    objectives = run.record.objectives
    won, lost = gains(objectives, first, second), gains(objectives, second, first)
    say(render_gains(trial, against, won, len(lost), rung))
