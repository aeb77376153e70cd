"""`search front`: the Pareto front of a run, finished or not."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from mergesearch._system.files import new_file
from mergesearch._system.terminal import say, say_sentence
from mergesearch.cli.options import AsCsv, AsJson, Folder
from mergesearch.cli.output import Force, csv_text, refuse_existing
from mergesearch.errors import InputError
from mergesearch.report.importances import constant_notes, render_importances
from mergesearch.report.plot import front_svg, to_png
from mergesearch.report.progress import working
from mergesearch.report.scatter import NARROWEST, render_scatter
from mergesearch.report.standing import sweep_line
from mergesearch.report.tables import render_front
from mergesearch.report.terminal import SafeConsole
from mergesearch.runs.run import Run
from mergesearch.runs.sweep import against_sweep
from mergesearch.study.front import Front
from mergesearch.study.records import TrialRecord


def command(
    folder: Folder,
    plot: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write the front as a picture to this .svg or .png file."
        ),
    ] = None,
    sweep: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Sweep to compare with; default: the one of `search sweep DIR`."
        ),
    ] = None,
    importances: Annotated[
        bool,
        typer.Option(
            "--importances",
            help="Also show how much each dimension matters; this takes some seconds.",
        ),
    ] = False,
    as_csv: AsCsv = False,
    as_json: AsJson = False,
    force: Force = False,
) -> None:
    """Show the Pareto front of a run.

    Draws a scatter of the trials, then lists the front's members with their search and validated
    scores and the shares of the parents; the knee is marked. A sweep, where there is one, is drawn
    too, and compared with the search.

    Example: search front results/demo --plot front.svg
    """
    ways = {"--plot": plot is not None, "--csv": as_csv, "--json": as_json}
    named = [option for option, given in ways.items() if given]
    if len(named) > 1:
        raise InputError(f"{' and '.join(named)} do not go together", fix="name one of them")
    if importances and (plot is not None or as_csv):
        raise InputError("--importances only works with the table or with --json")
    run = Run(folder)
    with working("reading the run"):
        front, against = run.front(), against_sweep(run, sweep)
        swept = against.sweep.trials() if against else ()
        decides = run.importances() if importances else {}
    if plot is not None:
        _write_plot(run, front, plot, swept, force)
    elif as_json:
        document = front.to_dict() | ({"sweep": against.to_dict()} if against else {})
        document |= {"importances": decides} if importances else {}
        say(json.dumps(document, indent=2, ensure_ascii=False))
    elif as_csv:
        rows = {row["trial"]: row for row in run.rows()}
        say(csv_text([rows[member.trial] for member in front.members]), end="")
    else:
        _print(run, front, swept)
        if against is not None:
            say_sentence(sweep_line(against.difference))
        if importances:
            SafeConsole().print("", render_importances(decides), sep="\n")


def _print(run: Run, front: Front, swept: Sequence[TrialRecord]) -> None:
    """Print the scatter, where there is room for it, the table, and what is odd about both."""
    console = SafeConsole()
    if len(front.axes) > 1 and front.members and console.width >= NARROWEST:
        console.print(render_scatter(front, run.trials(), console.width, swept), "", sep="\n")
    console.print(render_front(front, console.width))
    for note in constant_notes(run.constant_objectives()):
        say_sentence(note)


def _write_plot(
    run: Run, front: Front, path: Path, swept: Sequence[TrialRecord], force: bool
) -> None:
    if path.suffix not in (".svg", ".png"):
        raise InputError(
            f"{path.suffix or 'no ending'} is not the ending of a picture",
            where=path,
            expected=".svg or .png",
        )
    refuse_existing(path, force)
    svg = front_svg(front, run.trials(), run.record.name, swept)
    data = svg.encode() if path.suffix == ".svg" else to_png(svg)
    with new_file(path) as fd, open(fd, "wb", closefd=False) as file:
        file.write(data)
    say(str(path))
