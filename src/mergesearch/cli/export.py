"""`search export`: one trial of a run becomes a file to be shared."""

from __future__ import annotations

import enum
import shlex
from pathlib import Path
from typing import Annotated

import typer

from mergesearch._system.terminal import say, say_sentence
from mergesearch.cli.ending import remembered
from mergesearch.cli.options import Folder, Parents, Pick, TemplateFile, parse_parents
from mergesearch.cli.output import STANDARD_OUTPUT, Force, deliver, out_option, refuse_existing
from mergesearch.report.progress import working
from mergesearch.report.standing import standing_lines
from mergesearch.runs.inputs import open_workshop
from mergesearch.runs.run import Run, recipe_header
from mergesearch.runs.shipping import (
    PICTURE,
    card_of,
    label_of,
    mergekit_yaml,
    modelfile_of,
    write_picture,
)


class Format(enum.StrEnum):
    """What a trial can be exported as."""

    RECIPE = "recipe"
    MERGEKIT = "mergekit"
    CARD = "card"
    MODELFILE = "modelfile"


def command(
    folder: Folder,
    pick: Pick = "knee",
    format: Annotated[
        Format,
        typer.Option(
            help="Our recipe, YAML for mergekit, a card for the hub, or a Modelfile for Ollama."
        ),
    ] = Format.RECIPE,
    out: Annotated[
        Path,
        out_option("FILE", "File to write, - for standard output; default: standard output."),
    ] = STANDARD_OUTPUT,
    parent: Parents = [],  # noqa: B006
    template: TemplateFile = None,
    force: Force = False,
) -> None:
    """Export a trial of a run: its recipe, a card or a Modelfile.

    `search build` makes the scored model from the recipe again, byte for byte. The trial's
    intervals, and by how much it is ahead of each parent, are printed too. A picture of the front
    is written beside a card.

    Example: search export results/demo --pick 'max:reasoning where instruction>=0.25' -o r.yaml
    """
    run = Run(folder)
    with working("reading the run"):
        trial, standing = run.pick(pick), run.standing(pick)
    recipe = run.recipe_of(trial)
    name = f"{run.record.name}-trial-{trial.number}"
    gguf = f"{name}-{recipe.quantize.mix}.gguf"
    if format in (Format.CARD, Format.MODELFILE):
        workshop = open_workshop(recipe, parse_parents(parent), template)
        with working("reading the parents"):
            label, notes = label_of(workshop, recipe, name)
    match format:
        case Format.RECIPE:
            text = recipe_header(trial, run.record) + recipe.to_yaml()
        case Format.MERGEKIT:
            text = recipe_header(trial, run.record) + mergekit_yaml(recipe)
        case Format.CARD:
            for note in notes:
                say_sentence(note, error=True)
            picture = _picture(run, out, force)
            text = card_of(workshop, recipe, label, (run, trial), picture=picture)
        case Format.MODELFILE:
            text = modelfile_of(workshop, recipe, label, gguf)
    deliver(text, out, force, f"trial {trial.number} -> {out}")
    printed = out == STANDARD_OUTPUT
    for line in standing_lines(standing, run.record.axes):
        say_sentence(line, error=printed)
    if format is Format.MODELFILE:
        place = gguf if printed else str(out.with_name(gguf))
        which = [str(folder), "--pick", f"trial:{trial.number}", "-o", place]
        options = remembered(parent, template, None, None, False)
        say(f"next: {shlex.join(['search', 'build', *which, *options])}", error=printed)


def _picture(run: Run, out: Path, force: bool) -> str:
    """Write the front's picture beside a card; returns its name, "" where the card is printed."""
    if out == STANDARD_OUTPUT:
        return ""
    refuse_existing(out, force)
    picture = out.with_name(PICTURE)
    refuse_existing(picture, force, "the card's picture has that name: name a card elsewhere")
    return write_picture(out.parent, run)
