"""`search build`: a recipe becomes the model that it describes."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

from mergesearch._system.terminal import say
from mergesearch.cli.options import Parents, TemplateFile, Threads, parent_places
from mergesearch.errors import InputError
from mergesearch.quantize import MIXES
from mergesearch.runs.inputs import open_workshop, read_recipe


class Target(enum.StrEnum):
    """What a recipe can be built to."""

    GGUF = "gguf"
    SAFETENSORS = "safetensors"


def command(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="Recipe (YAML).")],
    out: Annotated[
        Path,
        typer.Option("-o", "--out", "--output", metavar="PATH", help="File or folder to write."),
    ],
    to: Annotated[Target, typer.Option(help="A GGUF file, or a Hugging Face folder.")] = (
        Target.GGUF
    ),
    quant: Annotated[
        str | None,
        typer.Option(metavar="MIX", help="GGUF mix, such as Q8_0; default: what the recipe says."),
    ] = None,
    parent: Parents = [],  # noqa: B006
    threads: Threads = None,
    template: TemplateFile = None,
) -> None:
    """Build the model that a recipe describes.

    Of a GGUF the SHA-256 is printed.

    Example: search build knee.yaml --to gguf -o knee.gguf
    """
    if quant is not None and to is Target.SAFETENSORS:
        raise InputError("--quant goes with --to gguf")
    if quant is not None and quant not in MIXES:
        raise InputError(f"unknown mix {quant!r}", where="--quant", expected=", ".join(MIXES))
    if to is Target.GGUF and out.exists() and not out.is_file():
        raise InputError("it is no regular file, so it is left alone", where=out)
    parsed = read_recipe(recipe)
    workshop = open_workshop(parsed, parent_places(parent), template, threads)
    if to is Target.SAFETENSORS:
        workshop.safetensors(parsed, out)
        say(f"{out}: {parsed.last.dtype} safetensors")
    else:
        say(f"{workshop.gguf(parsed, out, quant)}  {out}")
