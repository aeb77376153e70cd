"""`search front`: the Pareto front of a run, finished or going on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from mergesearch._system.files import new_file
from mergesearch._system.terminal import say
from mergesearch.cli.options import AsCsv, AsJson, Folder
from mergesearch.cli.output import Force, csv_text, refuse_existing
from mergesearch.errors import InputError
from mergesearch.report import render_front
from mergesearch.report.plot import front_svg, to_png
from mergesearch.report.scatter import NARROWEST, render_scatter
from mergesearch.report.terminal import SafeConsole
from mergesearch.runs.run import Run


def command(
    folder: Folder,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the front as a picture: .svg, or .png."),
    ] = None,
    as_csv: AsCsv = False,
    as_json: AsJson = False,
    force: Force = False,
) -> None:
    """Show the Pareto front of a run.

    A scatter of its trials, then its members: search and validated scores, shares of the parents,
    and the knee.

    Example: search front results/demo --plot front.svg
    """
    run = Run(folder)
    front = run.front()
    if plot is not None:
        _write_plot(run, plot, force)
    elif as_json:
        say(json.dumps(front.to_dict(), indent=2, ensure_ascii=False))
    elif as_csv:
        rows = {row["trial"]: row for row in run.rows()}
        say(csv_text([rows[member.trial] for member in front.members]), end="")
    else:
        console = SafeConsole()
        if len(front.axes) > 1 and front.members and console.width >= NARROWEST:
            console.print(render_scatter(front, run.trials(), console.width), "", sep="\n")
        console.print(render_front(front, console.width))


def _write_plot(run: Run, path: Path, force: bool) -> None:
    """Write the front as a picture whose kind the file's ending names."""
    if path.suffix not in (".svg", ".png"):
        raise InputError(
            f"{path.suffix or 'no ending'} names no picture", where=path, expected=".svg or .png"
        )
    refuse_existing(path, force)
    svg = front_svg(run.front(), run.trials(), run.record.name)
    data = svg.encode() if path.suffix == ".svg" else to_png(svg)
    with new_file(path) as fd, open(fd, "wb", closefd=False) as file:
        file.write(data)
    say(str(path))
