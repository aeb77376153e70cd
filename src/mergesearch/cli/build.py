"""`search build`: a recipe becomes the model that it describes."""

from __future__ import annotations

import enum
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mergesearch._system.terminal import say, say_sentence
from mergesearch.cli import completion
from mergesearch.cli.options import Parents, TemplateFile, Threads, parse_parents
from mergesearch.cli.output import STANDARD_OUTPUT, Force, out_option, refuse_existing
from mergesearch.errors import InputError
from mergesearch.quantize import MIXES
from mergesearch.recipe import Quantization, Recipe
from mergesearch.report.progress import progress, working
from mergesearch.runs.inputs import open_workshop, read_recipe
from mergesearch.runs.kinds import Kind, kind_of

if TYPE_CHECKING:
    from mergesearch.build import Workshop
    from mergesearch.runs.run import Run
    from mergesearch.study.records import TrialRecord

# What reads runs is imported where a run is read: a recipe is built without loading Optuna.


class Target(enum.StrEnum):
    """What a recipe can be built to."""

    GGUF = "gguf"
    SAFETENSORS = "safetensors"
    UPLOAD = "upload"


RecipeOrRun = Annotated[
    Path, typer.Argument(metavar="RECIPE", help="Recipe (YAML), or the folder of a run.")
]
Out = Annotated[
    Path,
    out_option("PATH", "File or folder to write, - for standard output."),
]
To = Annotated[
    Target,
    typer.Option(help="A GGUF file, a Hugging Face folder, or one with GGUFs and a card."),
]
Quant = Annotated[
    str | None,
    typer.Option(
        metavar="MIX",
        help="GGUF mix, such as Q8_0; default: the recipe's.",
        autocompletion=completion.mixes,
    ),
]
Quants = Annotated[
    str,
    typer.Option(metavar="MIX,...", help="GGUF mixes for --to upload."),
]
PickOfRun = Annotated[
    str | None,
    typer.Option(
        metavar="WHICH",
        help="Trial of a run folder, as search export takes it; default: knee.",
        autocompletion=completion.picks,
    ),
]


def command(
    recipe: RecipeOrRun,
    out: Out,
    to: To = Target.GGUF,
    quant: Quant = None,
    quants: Quants = "Q4_K_M",
    pick: PickOfRun = None,
    parent: Parents = [],  # noqa: B006
    threads: Threads = None,
    template: TemplateFile = None,
    force: Force = False,
) -> None:
    """Build the model that a recipe describes, or a trial of a run.

    Prints the SHA-256 of a GGUF: it is the candidate that was scored, byte for byte. `--to upload`
    writes a folder to be published: safetensors, GGUFs that say what they are, a card, the recipe,
    and a Modelfile for Ollama, in one pass over the parents.

    Example: search build knee.yaml --to gguf -o knee.gguf
    """
    _check_target(to, out, force)
    origin = _origin(recipe, pick)
    parsed = _in_mix(read_recipe(recipe) if origin is None else _of(*origin), to, quant)
    workshop = open_workshop(
        parsed,
        parse_parents(parent),
        template,
        threads,
        scratch=out.absolute().parent,
        file=recipe,
    )
    if out != STANDARD_OUTPUT and workshop.files.are_in(out):
        raise InputError("is a parent of the merge, so it is left alone", where=out)
    with working("planning the merge"):
        notes = workshop.notes(parsed)
    for note in notes:
        say_sentence(note, error=True)
    if to is Target.UPLOAD:
        mixes = list(dict.fromkeys(quants.split(",")))
        _ship(workshop, parsed, out, mixes, origin, force)
    else:
        _write(workshop, parsed, out, to, force)


def _ship(
    workshop: Workshop,
    recipe: Recipe,
    folder: Path,
    mixes: list[str],
    origin: tuple[Run, TrialRecord] | None,
    force: bool,
) -> None:
    from mergesearch.runs.shipping import ship

    with progress("building", "blocks") as on_progress:
        licenses = ship(
            workshop, recipe, folder, mixes, origin=origin, overwrite=force, on_progress=on_progress
        )
    for note in licenses:
        say_sentence(note, error=True)
    say(f"{folder}: look at README.md, then: search upload {folder} ORG/NAME")


def _write(workshop: Workshop, recipe: Recipe, out: Path, to: Target, force: bool) -> None:
    """Write a GGUF, to standard output too, or a Hugging Face folder; say what it is."""
    with progress("building", "blocks") as on_progress:
        if to is Target.SAFETENSORS:
            workshop.safetensors(recipe, out, replace=force, on_progress=on_progress)
            done = f"{out}: {recipe.last.dtype} safetensors"
        elif out != STANDARD_OUTPUT:
            done = f"{workshop.gguf(recipe, out, on_progress=on_progress)}  {out}"
        else:
            built = workshop.candidate(recipe, on_progress=on_progress)
    if out != STANDARD_OUTPUT:
        say(done)
        return
    with built as candidate, candidate.path.open("rb") as file:
        shutil.copyfileobj(file, sys.stdout.buffer)
        say(candidate.digest, error=True)


def _origin(place: Path, pick: str | None) -> tuple[Run, TrialRecord] | None:
    """The run that a folder holds with the trial that is picked, None for a recipe."""
    kind = kind_of(place)
    if kind is None and (place.is_dir() or not place.exists()):
        raise InputError(
            "is a folder without a run" if place.is_dir() else "no such file or folder",
            where=place,
            expected="a recipe (YAML), or the folder of a run",
            fix="search list shows the runs in results",
        )
    if kind is not Kind.RUN:
        if pick is not None:
            raise InputError("--pick only works with the folder of a run", where=place)
        return None
    from mergesearch.runs.run import Run

    run = Run(place)
    with working("reading the run"):
        return run, run.pick("knee" if pick is None else pick)


def _of(run: Run, trial: TrialRecord) -> Recipe:
    """The recipe of a trial; how the trial stands is said."""
    from mergesearch.report.standing import standing_lines

    for line in standing_lines(run.standing(trial.number), run.record.axes):
        say_sentence(f"trial {trial.number}: {line}", error=True)
    return run.recipe_of(trial)


def _in_mix(recipe: Recipe, to: Target, quant: str | None) -> Recipe:
    if quant is None:
        return recipe
    if to is not Target.GGUF:
        raise InputError("--quant only works with --to gguf", fix="use --quants with --to upload")
    if quant not in MIXES:
        raise InputError(f"unknown mix {quant!r}", where="--quant", expected=", ".join(MIXES))
    return replace(recipe, quantize=Quantization(quant))


def _check_target(to: Target, out: Path, force: bool) -> None:
    """Refuse a place that is taken, or whose ending says something else than `--to`."""
    if to is Target.GGUF:
        if out.suffix in (".safetensors", ".yaml", ".yml"):
            raise InputError(f"{out.suffix} is not the ending of a GGUF", where=out)
        if out != STANDARD_OUTPUT:
            refuse_existing(out, force)
    elif out == STANDARD_OUTPUT or out.suffix in (".gguf", ".safetensors", ".yaml", ".yml"):
        raise InputError(
            f"--to {to} writes a folder", where=out, fix="name a folder, or use --to gguf"
        )
    elif out.is_file():
        raise InputError(f"is a file, and --to {to} writes a folder", where=out)
