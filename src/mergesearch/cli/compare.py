"""`search compare`: two candidates, item by item."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from mergesearch._system.terminal import say
from mergesearch.cli import completion
from mergesearch.cli.options import AsJson, Folder, SharedRungOption
from mergesearch.report.comparison import render_comparison
from mergesearch.report.progress import progress
from mergesearch.report.terminal import SafeConsole
from mergesearch.runs.compare import compare, is_scored_first
from mergesearch.runs.run import Run

_WHICH = "A trial (17, knee, best:OBJECTIVE), a parent, a trial of another run (DIR:17), or a GGUF."


def command(
    folder: Folder,
    first: Annotated[
        str, typer.Argument(metavar="A", help=_WHICH, autocompletion=completion.picks)
    ],
    second: Annotated[
        str,
        typer.Argument(
            metavar="B", help="Candidate to compare A with.", autocompletion=completion.picks
        ),
    ],
    rung: SharedRungOption = None,
    as_json: AsJson = False,
) -> None:
    """Compare two candidates item by item.

    On the same items, differences show that are smaller than the errors of the two scores: the
    interval is that of the paired differences.

    Example: search compare results/demo knee instruct
    """
    run = Run(folder)
    if is_scored_first(first) or is_scored_first(second):
        with progress("scoring", "items") as on_progress:
            found = compare(
                run, first, second, rung, lambda scored: on_progress(scored.done, scored.total)
            )
    else:
        found = compare(run, first, second, rung)
    if as_json:
        say(json.dumps(asdict(found), indent=2, ensure_ascii=False))
        return
    axes = run.record.axes
    SafeConsole().print(
        render_comparison(found.first, found.second, found.differences, axes, found.rung)
    )
