"""Options that several commands share, and how their texts are read."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from mergesearch.cli import completion
from mergesearch.errors import InputError

_UNITS = {"M": 10**6, "G": 10**9, "T": 10**12}


def parse_size(text: str) -> int:
    """Return the bytes that `12GB`, `12G` or `800MB` stands for; units are powers of 1000.

    Raises:
        InputError: The text is not a size.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?([MGT])B?", text.strip(), re.IGNORECASE)
    size = int(float(match[1]) * _UNITS[match[2].upper()]) if match else 0
    if size == 0:
        raise InputError(
            f"{text!r} is not a size", where="--memory", expected="a size such as 12GB or 800MB"
        )
    return size


def next_time(text: str, now: datetime | None = None) -> datetime:
    """Return the next moment at which the clock shows `HH:MM`.

    Raises:
        InputError: The text is not a time of day.
    """
    match = re.fullmatch(r"([01]?\d|2[0-3]):([0-5]\d)", text)
    if match is None:
        raise InputError(f"{text!r} is not a time of day", where="--until", expected="HH:MM")
    now = now or datetime.now()
    moment = now.replace(hour=int(match[1]), minute=int(match[2]), second=0, microsecond=0)
    return moment if moment > now else moment + timedelta(days=1)


def parse_parents(pairs: Iterable[str]) -> dict[str, Path]:
    """Parse `ID=DIR` options into places of parents' copies, by id.

    Raises:
        InputError: An option is not of that form.
    """
    places: dict[str, Path] = {}
    for pair in pairs:
        ref, equals, place = pair.partition("=")
        if not (ref and equals and place):
            raise InputError(f"{pair!r} is not of the form ID=DIR", where="--parent")
        places[ref] = Path(place)
    return places


Folder = Annotated[Path, typer.Argument(metavar="DIR", help="Folder that `search run` wrote.")]
ObjectivesFile = Annotated[
    str | None,
    typer.Option(
        "--objectives",
        metavar="FILE",
        help="YAML file, or a built-in one; default: the space's name.",
        autocompletion=completion.objectives,
    ),
]
Pick = Annotated[
    str,
    typer.Option(
        metavar="WHICH",
        help="knee, best:OBJECTIVE, 'max:OBJECTIVE where OTHER>=0.3', weighted:OBJECTIVE=2,OTHER=1,"
        " trial:NUMBER, or the name of a parent.",
        autocompletion=completion.picks,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
SharedRungOption = Annotated[
    str | None,
    typer.Option(
        "--rung",
        metavar="RUNG",
        help="Items to look at: search or validate; default: those of which both have more.",
        autocompletion=completion.rungs,
        show_default=False,
    ),
]
AsCsv = Annotated[bool, typer.Option("--csv", help="Print everything on record as CSV.")]
Parents = Annotated[
    list[str],
    typer.Option(
        "--parent",
        metavar="ID=DIR",
        help="Local folder or GGUF to use for the parent ID; may be repeated.",
        autocompletion=completion.parents,
    ),
]
TemplateFile = Annotated[
    Path | None,
    typer.Option(
        "--template",
        metavar="FILE",
        help="GGUF of one parent, for an architecture that is not built in.",
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(
        metavar="N", min=1, help="Number of threads that build; the result does not depend on it."
    ),
]
Memory = Annotated[
    int | None,
    typer.Option(
        metavar="SIZE",
        parser=parse_size,
        help="Most memory to take, such as 12GB; default: all that is free.",
    ),
]
TrustTasks = Annotated[
    bool,
    typer.Option(
        "--trust-tasks", help="Let YAML files in the task folder run Python code of their own."
    ),
]
StorageUrl = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="PostgreSQL database for the study, such as postgresql://me@host/studies.",
    ),
]
