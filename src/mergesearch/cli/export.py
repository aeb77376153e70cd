"""`search export`: one trial of a run becomes a static recipe."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

from mergesearch._system.terminal import say
from mergesearch.cli.options import Folder, Pick
from mergesearch.cli.output import OUT, STANDARD_OUTPUT, Force, deliver
from mergesearch.report.standing import standing_lines
from mergesearch.runs.export import mergekit_yaml, recipe_header
from mergesearch.runs.run import Run


class Format(enum.StrEnum):
    """What a trial can be exported as."""

    RECIPE = "recipe"
    MERGEKIT = "mergekit"


def command(
    folder: Folder,
    pick: Pick = "knee",
    format: Annotated[
        Format, typer.Option(help="Our recipe, or YAML for mergekit.")
    ] = Format.RECIPE,
    out: Annotated[
        Path,
        typer.Option(
            *OUT, metavar="FILE", help="File to write; default: print it.", show_default=False
        ),
    ] = STANDARD_OUTPUT,
    force: Force = False,
) -> None:
    """Export the recipe of a trial.

    `search build` makes the scored model from it again, byte for byte. How the trial stands is
    said too: its intervals, and the chance that it really is better than each parent.

    Example: search export results/demo --pick 'max:reasoning where instruction>=0.3' -o r.yaml
    """
    run = Run(folder)
    trial = run.pick(pick)
    recipe = run.recipe_of(trial)
    text = recipe.to_yaml() if format is Format.RECIPE else mergekit_yaml(recipe)
    text = recipe_header(trial, run.record.axes) + text
    deliver(text, out, force, f"trial {trial.number} -> {out}")
    for line in standing_lines(run.standing(trial.number), run.record.axes):
        say(line, error=out == STANDARD_OUTPUT)
