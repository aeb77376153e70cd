"""`search build`: a recipe becomes the model it describes."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

from mergesearch.cli.options import (
    Parents,
    TemplateFile,
    Threads,
    check_overrides,
    check_target,
    parent_folders,
    read_text,
)
from mergesearch.errors import InputError


class Target(enum.StrEnum):
    """What a recipe can be built to."""

    GGUF = "gguf"
    SAFETENSORS = "safetensors"


def command(
    recipe: Annotated[Path, typer.Argument(help="Recipe (YAML).")],
    output: Annotated[Path, typer.Option("-o", "--output", help="File or folder to write.")],
    to: Annotated[Target, typer.Option(help="A GGUF file, or a Hugging Face folder.")] = (
        Target.GGUF
    ),
    quant: Annotated[
        str | None, typer.Option(help="GGUF mix, such as Q8_0; default: what the recipe says.")
    ] = None,
    parent: Parents = [],  # noqa: B006
    threads: Threads = None,
    template: TemplateFile = None,
) -> None:
    """Build the model that a recipe describes.

    Of a GGUF the SHA-256 is printed.

    Example: search build knee.yaml --to gguf -o knee.gguf
    """
    from mergesearch.build import Workshop
    from mergesearch.quantize import MIXES
    from mergesearch.recipe import Recipe

    if quant is not None and to is Target.SAFETENSORS:
        raise InputError("--quant goes with --to gguf")
    if quant is not None and quant not in MIXES:
        raise InputError(f"unknown mix {quant!r}", where="--quant", expected=", ".join(MIXES))
    if to is Target.GGUF:
        check_target(output)
    parsed = Recipe.from_yaml(read_text(recipe), recipe)
    folders = parent_folders(parent)
    check_overrides(folders, parsed.parents())
    workshop = Workshop.for_recipe(parsed, folders, template=template, threads=threads)
    if to is Target.SAFETENSORS:
        workshop.safetensors(parsed, output)
        print(f"{output}: {parsed.dtype} safetensors")
    else:
        print(f"{workshop.gguf(parsed, output, quant)}  {output}")
