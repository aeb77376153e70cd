"""Options that several commands share, and how they are read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mergesearch._system import files
from mergesearch.errors import InputError

if TYPE_CHECKING:
    from mergesearch.objectives import ItemResult

PINS_FILE = "parents.json"

RunFolder = Annotated[Path, typer.Argument(metavar="DIR", help="Folder that `search run` wrote.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Parents = Annotated[
    list[str],
    typer.Option(
        "--parent", metavar="ID=DIR", help="Local folder or GGUF in the place of a parent's id."
    ),
]
TemplateFile = Annotated[
    Path | None,
    typer.Option(
        "--template",
        metavar="FILE.gguf",
        help="One parent converted by any tool, for an architecture that is not built in.",
    ),
]
Threads = Annotated[
    int | None, typer.Option(min=1, help="Threads for building; the result does not depend on it.")
]

TrustTasks = Annotated[
    bool,
    typer.Option(
        "--trust-tasks", help="Let task YAMLs of the task folder run Python code of their own."
    ),
]


def parent_folders(pairs: list[str]) -> dict[str, Path]:
    """Return the folders or GGUF files that `--parent ID=DIR` options put in the place of ids.

    Raises:
        InputError: an option is not of that form, or what it names does not exist.
    """
    folders: dict[str, Path] = {}
    for pair in pairs:
        ref, equals, folder = pair.partition("=")
        if not (ref and equals and folder):
            raise InputError(f"--parent {pair!r} is not of the form ID=DIR")
        folders[ref] = Path(folder).expanduser()
        if not folders[ref].exists():
            raise InputError(f"no folder {folder}", where=f"--parent {pair}")
    return folders


def check_overrides(folders: Mapping[str, Path], refs: Iterable[str]) -> None:
    """Refuse a `--parent` whose id is neither a parent's nor one side of `PARENT+ADAPTER`.

    Raises:
        InputError: naming it and the ids there are.
    """
    from mergesearch.parents import parts

    known = list(dict.fromkeys(part for ref in refs for part in parts(ref)))
    for ref in folders:
        if ref not in known:
            raise InputError(f"no parent {ref!r}", where="--parent", expected=", ".join(known))


def written_pins(folder: Path) -> dict[str, str]:
    """Return the commits that a run pinned its parents of the hub to: id -> `ID@COMMIT`."""
    file = folder / PINS_FILE
    if not file.is_file():
        return {}
    pins: dict[str, str] = json.loads(read_text(file))
    return pins


def cut_note(items: Iterable[ItemResult]) -> str | None:
    """Return a warning where prompts lost their beginning, None where none did."""
    cut = [item.cut > 0 for item in items]
    if not any(cut):
        return None
    return (
        f"warning: {sum(cut)} of {len(cut)} prompts were longer than the context and lost their"
        " beginning; raise runtime.n_ctx"
    )


def check_target(path: Path) -> None:
    """Refuse to put a file where something else than a file stands.

    Raises:
        InputError: it is a folder, a device or a pipe.
    """
    if path.exists() and not path.is_file():
        raise InputError("it is no regular file, so it is left alone", where=path)


def read_text(path: Path) -> str:
    """Return a text file's content.

    Raises:
        InputError: it does not exist, or is not UTF-8 text.
    """
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError("no such file", where=path) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read as text: {error}", where=path) from error


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all, making its folder where it is missing.

    Raises:
        InputError: the place cannot be written, or something else than a file stands there.
    """
    check_target(path)
    try:
        files.write_text(path, text)
    except OSError as error:
        raise InputError(f"cannot be written: {error}", where=path) from error
