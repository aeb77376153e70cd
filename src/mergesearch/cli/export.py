"""`search export`: one trial of a run becomes a static recipe."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

from mergesearch.cli.options import Folder
from mergesearch.cli.output import OUT, STANDARD_OUTPUT, Force, deliver
from mergesearch.runs.export import mergekit_yaml, recipe_header
from mergesearch.runs.run import Run


class Format(enum.StrEnum):
    """What a trial can be exported as."""

    RECIPE = "recipe"
    MERGEKIT = "mergekit"


def command(
    folder: Folder,
    pick: Annotated[
        str, typer.Option(metavar="WHICH", help="knee, best:OBJECTIVE or trial:NUMBER.")
    ] = "knee",
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

    `search build` makes the scored model from it again, byte for byte.

    Example: search export results/demo --pick knee -o knee.yaml
    """
    run = Run(folder)
    trial = run.pick(pick)
    recipe = run.recipe_of(trial)
    text = recipe.to_yaml() if format is Format.RECIPE else mergekit_yaml(recipe)
    text = recipe_header(trial) + text
    deliver(text, out, force, f"trial {trial.number} -> {out}")
