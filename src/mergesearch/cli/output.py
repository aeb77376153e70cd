"""Where a command writes to: `-o/--out`, `--force`, and `-` for standard output."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from typer.models import OptionInfo

from mergesearch._system.files import write_text
from mergesearch._system.terminal import say
from mergesearch.errors import InputError
from mergesearch.runs.folder import RunFolder

STANDARD_OUTPUT = Path("-")
_NO_TEXTS = (".gguf", ".safetensors", ".db", ".pdf", ".png")


Force = Annotated[bool, typer.Option("--force", help="Overwrite what is already there.")]


def out_option(metavar: str, help: str) -> OptionInfo:
    """Return the option that names where a command writes to; every such command has this one."""
    return typer.Option("-o", "--out", "--output", metavar=metavar, help=help, show_default=False)


def refuse_existing(path: Path, force: bool, way_on: str = "name another file") -> None:
    """Refuse a place for a file that is taken; `force` lets a file be replaced.

    Args:
        force: Whether a file may be replaced.
        way_on: What to do where none is to be replaced.

    Raises:
        InputError: Something is there that may not be replaced.
    """
    if path.is_dir():
        raise InputError(
            "is a folder", where=path, fix=f"name a file in it, such as {path / 'NAME'}"
        )
    if path.exists() and not path.is_file():
        raise InputError("is not a regular file, so it is left alone", where=path)
    if path.exists() and path in RunFolder(path.parent).needed:
        raise InputError("is what a run resumes from, so it is left alone", where=path)
    if path.exists() and not force:
        raise InputError("exists already", where=path, fix=f"{way_on}, or replace it: --force")


def refuse_ending(path: Path) -> None:
    """Refuse a file for a text whose ending says that it is something else.

    Raises:
        InputError: It has the ending of a model, a database or a picture.
    """
    if path.suffix.lower() in _NO_TEXTS:
        raise InputError(f"{path.suffix} is not the ending of a text", where=path)


def deliver(text: str, out: Path, force: bool, done: str) -> None:
    """Write a text to a file and say `done`, or print it where the file is `-`.

    Raises:
        InputError: Something is there that may not be replaced, or the file's ending is not that
            of a text.
    """
    if out == STANDARD_OUTPUT:
        say(text, end="")
        return
    refuse_ending(out)
    refuse_existing(out, force)
    write_text(out, text)
    say(done)


def csv_text(rows: Sequence[dict[str, object]]) -> str:
    """Return rows as CSV with a heading; what a row does not have is empty."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
