"""`search list`: built-in spaces and objectives, and runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from mergesearch._system.terminal import say, say_sentence
from mergesearch.cli.options import AsJson
from mergesearch.report.listing import render_runs
from mergesearch.report.progress import working
from mergesearch.report.terminal import SafeConsole
from mergesearch.runs.listing import built_in_objectives, built_in_spaces, runs_in


def command(
    folder: Annotated[
        Path, typer.Argument(metavar="[DIR]", help="Folder with run folders.")
    ] = Path("results"),
    as_json: AsJson = False,
) -> None:
    """List built-in spaces and objectives, and the runs in a folder.

    Of a run: its state, its trials, the size of its front, and the best in each objective.

    Example: search list
    """
    spaces, objectives = built_in_spaces(), built_in_objectives()
    with working("reading the runs"):
        runs = list(runs_in(folder))
    if as_json:
        listed = {"spaces": spaces, "objectives": objectives}
        say(json.dumps(listed | {"runs": [run.to_dict() for run in runs]}, indent=2))
        return
    say_sentence(f"built-in spaces      {', '.join(spaces)}")
    say_sentence(f"built-in objectives  {', '.join(objectives)}")
    if runs:
        SafeConsole().print("", render_runs(runs), sep="\n")
    else:
        say(f"no runs in {folder}")
