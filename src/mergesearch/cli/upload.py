"""`search upload`: a finished folder goes to the Hugging Face Hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mergesearch._system.terminal import say
from mergesearch.parents.uploading import Upload
from mergesearch.report import text


def command(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder that search build --to upload wrote.")
    ],
    name: Annotated[str, typer.Argument(metavar="ORG/NAME", help="Repository on the hub.")],
    public: Annotated[
        bool, typer.Option("--public", help="Make a new repository public at once.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be uploaded.")
    ] = False,
) -> None:
    """Upload a finished folder to the Hugging Face Hub.

    A new repository is private, so that you can look at its card first; an existing one stays as it
    is. Log in first: hf auth login.

    Example: search upload merged/Night-1 me/Night-1 --dry-run
    """
    upload = Upload.of(folder, name, private=not public)
    for path, size in upload.files:
        say(f"{text.size(size):>8}  {path}")
    total = text.size(sum(size for _, size in upload.files))
    kind = "private" if upload.private else "public"
    what = f"{text.plural(len(upload.files), 'file')}, {total}, to {name} ({kind} if it is new)"
    if dry_run:
        say(f"would upload {what}")
        return
    say(f"uploading {what}")
    say(upload.run())
