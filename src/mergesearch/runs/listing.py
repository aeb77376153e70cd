"""What can be started, and what was: built-in files, and the runs of a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from mergesearch._system import resources
from mergesearch.errors import InputError, MergeSearchError
from mergesearch.report.listing import ListedRun
from mergesearch.runs.folder import RunFolder
from mergesearch.runs.run import Run


def built_in_spaces() -> list[str]:
    """Return the names of the built-in spaces."""
    return sorted(path.stem for path in resources.spaces_folder().glob("*.yaml"))


def built_in_objectives() -> list[str]:
    """Return the names of the built-in objectives."""
    return sorted(path.stem for path in resources.objectives_folder().glob("*.yaml"))


def runs_in(folder: Path) -> Iterator[ListedRun]:
    """Yield the runs in a folder and three levels down, sweeps too; unreadable ones say why.

    Raises:
        InputError: It is a file.
    """
    if folder.is_file():
        raise InputError("is a file, not a folder with runs", where=folder)
    for path in _run_folders(folder, 3):
        try:
            run = Run(path)
            yield ListedRun(path, run.state(), run.front())
        except MergeSearchError as error:
            yield ListedRun(path, "unreadable", problem=error.what)


def _run_folders(folder: Path, levels: int) -> Iterator[Path]:
    """Run folders in a folder and so many levels down; each comes before what is in it."""
    if RunFolder(folder).holds_run():
        yield folder
    if levels and folder.is_dir() and os.access(folder, os.R_OK | os.X_OK):
        for path in sorted(folder.iterdir()):
            yield from _run_folders(path, levels - 1)
