"""`search report`: a run as one page for a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from mergesearch.cli.options import Folder, TrustTasks
from mergesearch.cli.output import (
    STANDARD_OUTPUT,
    Force,
    deliver,
    out_option,
    refuse_ending,
    refuse_existing,
)
from mergesearch.report.progress import working
from mergesearch.report.standing import sweep_line
from mergesearch.runs.report import report_page
from mergesearch.runs.run import Run
from mergesearch.runs.sweep import against_sweep


def command(
    folder: Folder,
    out: Annotated[
        Path | None,
        out_option("FILE", "File to write, - for standard output; default: DIR/report.html."),
    ] = None,
    trust_tasks: TrustTasks = False,
    force: Force = False,
) -> None:
    """Write a report of a run: one page for a browser.

    It shows the front with its intervals, beside a sweep where there is one, any two trials side by
    side down to their answers, and how the run went. The page is one file that loads nothing from
    elsewhere. It can be written while the run is still at work.

    Example: search report results/demo
    """
    run = Run(folder)
    target = run.folder.report if out is None else out
    force = force or target == run.folder.report
    if target != STANDARD_OUTPUT:
        refuse_ending(target)
        refuse_existing(target, force)  # before the minute that the page may take
    with working("writing the report"):
        against = against_sweep(run)
        swept = against.sweep.trials() if against else ()
        notes = [sweep_line(against.difference)] if against else []
        page = report_page(run, trust_tasks=trust_tasks, swept=swept, notes=notes)
    deliver(page, target, force, str(target))
