"""`search export`: one trial of a run becomes a file to be shared."""

from __future__ import annotations

import enum
import shlex
from pathlib import Path
from typing import Annotated

import typer

from mergesearch._system.terminal import say, say_sentence
from mergesearch.cli.options import Folder, Parents, Pick, TemplateFile, parse_parents
from mergesearch.cli.output import STANDARD_OUTPUT, Force, deliver, out_option, refuse_existing
from mergesearch.cli.resuming import remembered
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
from mergesearch.study.records import TrialRecord


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
    match format:
        case Format.RECIPE:
            text = recipe_header(trial, run.record) + run.recipe_of(trial).to_yaml()
        case Format.MERGEKIT:
            text = recipe_header(trial, run.record) + mergekit_yaml(run.recipe_of(trial))
        case _:
            picture = _picture(run, out, force) if format is Format.CARD else ""
            text = _described(run, trial, format, out, picture, parent, template)
    deliver(text, out, force, f"trial {trial.number} -> {out}")
    for line in standing_lines(standing, run.record.axes):
        say_sentence(line, error=out == STANDARD_OUTPUT)


def _picture(run: Run, out: Path, force: bool) -> str:
    """Write the front's picture beside a card; returns its name, "" where the card is printed."""
    if out == STANDARD_OUTPUT:
        return ""
    refuse_existing(out, force)
    picture = out.with_name(PICTURE)
    refuse_existing(picture, force, "the card's picture has that name: name a card elsewhere")
    return write_picture(out.parent, run)


def _described(
    run: Run,
    trial: TrialRecord,
    format: Format,
    out: Path,
    picture: str,
    parent: list[str],
    template: Path | None,
) -> str:
    """A card or a Modelfile, for which the parents are opened; what comes next is said."""
    recipe = run.recipe_of(trial)
    workshop = open_workshop(recipe, parse_parents(parent), template)
    name = f"{run.record.name}-trial-{trial.number}"
    with working("reading the parents"):
        label, notes = label_of(workshop, recipe, name)
    if format is Format.MODELFILE:
        file = f"{name}-{recipe.quantize.mix}.gguf"
        target = str(Path(file) if out == STANDARD_OUTPUT else out.with_name(file))
        which = [str(run.folder.path), "--pick", f"trial:{trial.number}", "-o", target]
        options = remembered(parent, template, None, None, False)
        build = shlex.join(["search", "build", *which, *options])
        say(f"next, for the GGUF that it names: {build}", error=True)
        return modelfile_of(workshop, recipe, label, file)
    for note in notes:
        say_sentence(note, error=True)
    return card_of(workshop, recipe, label, (run, trial), picture=picture)
