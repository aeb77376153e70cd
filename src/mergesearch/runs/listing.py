"""What can be started, and what was: built-in files, and the runs of a folder."""

from __future__ import annotations

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
    """Yield the runs right inside a folder, by name; one that cannot be read says why.

    Raises:
        InputError: It is a file.
    """
    if folder.is_file():
        raise InputError("is a file, not a folder with runs", where=folder)
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if RunFolder(path).holds_run():
            try:
                run = Run(path)
                yield ListedRun(path, run.state(), run.front())
            except MergeSearchError as error:
                yield ListedRun(path, "unreadable", problem=error.what)
