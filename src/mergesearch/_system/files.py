"""Files and folders that are there whole or not at all: written beside their place, then moved."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def new_file(path: Path) -> Iterator[int]:
    """Open the descriptor of a file that takes its place once the block ends well.

    A reader of `path` sees the old file or the new one, never a part. Missing folders are made.

    Raises:
        OSError: The place cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    fd, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        try:
            yield fd
            os.fchmod(fd, 0o666 & ~_umask())
        finally:
            os.close(fd)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Make a folder that takes its place once the block ends well; an empty one may be there.

    Raises:
        OSError: The place cannot be written, or something else is there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    try:
        unfinished.chmod(0o777 & ~_umask())
        yield unfinished
        os.replace(unfinished, path)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file by `new_file`."""
    with new_file(path) as fd, open(fd, "w", encoding="utf-8", closefd=False) as file:
        file.write(text)


def write_json(path: Path, document: Any) -> None:
    """Write a document as indented JSON by `new_file`."""
    write_text(path, json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def _umask() -> int:
    """The bits that new files do not get; the system only tells them while it sets others."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
