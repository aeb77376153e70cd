"""`search list`: built-in spaces and objectives, and runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from mergesearch._system.terminal import say, say_sentence
from mergesearch.cli.options import AsJson
from mergesearch.report.progress import working
from mergesearch.runs.listing import built_in_objectives, built_in_spaces, runs_in


def command(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder to look in, down to three levels.")
    ] = Path("results"),
    as_json: AsJson = False,
) -> None:
    """List built-in spaces and objectives, and the runs in a folder.

    Of a run, sweeps too: its state, its trials, the size of its front, and the best in each
    objective, by the confirmed scores once there are any.

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
    say("" if runs else f"no runs in {folder}")
    for run in runs:
        say(str(run.path))
        say_sentence(f"  {run.in_words()}")
