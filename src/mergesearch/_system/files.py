"""Files and folders that are there whole or not at all: written beside their place, then moved."""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from mergesearch.errors import InputError

_POINTER = b"version https://git-lfs.github.com/spec/"


@contextmanager
def new_file(path: Path) -> Iterator[int]:
    """Open the descriptor of a file that takes its place once the block ends well.

    A reader of `path` sees the old file or the new one, never a part. Missing folders are made.

    Raises:
        OSError: The place cannot be written.
    """
    with _named(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        fd, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        try:
            yield fd
            os.fchmod(fd, 0o666 & ~_umask())
        finally:
            os.close(fd)
        with _named(path):
            os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


@contextmanager
def new_folder(path: Path, *, replace: bool = False) -> Iterator[Path]:
    """Make a folder that takes its place once the block ends well; an empty one may be there.

    Args:
        replace: Whether a folder with something in it is removed for it.

    Raises:
        OSError: The place cannot be written, or something else is there.
    """
    with _named(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    former = unfinished.with_name(f"{unfinished.name}-former")
    try:
        unfinished.chmod(0o777 & ~_umask())
        yield unfinished
        with _named(path):
            if replace and path.is_dir():
                os.replace(path, former)
            os.replace(unfinished, path)
    except BaseException:
        if former.is_dir():
            os.replace(former, path)
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    shutil.rmtree(former, ignore_errors=True)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Let an error name the place that was asked for, not a temporary one."""
    try:
        yield
    except OSError as error:
        error.filename, error.filename2 = str(path), None
        raise


def open_regular(path: Path) -> BinaryIO:
    """Open a file for reading; what may never end, such as a pipe or a device, is refused.

    So is the pointer that a clone without Git LFS has in the place of a large file.

    Raises:
        OSError: It cannot be opened, or is not a regular file, or a pointer.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        kind = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(kind):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(kind):
            raise OSError(errno.EINVAL, "it is a pipe or a device, not a file", str(path))
        if os.pread(descriptor, len(_POINTER), 0) == _POINTER:
            problem = "it is a pointer of Git LFS: `git lfs pull` puts the file there"
            raise OSError(errno.EINVAL, problem, str(path))
    except OSError:
        os.close(descriptor)
        raise
    return os.fdopen(descriptor, "rb")


def in_words(error: OSError) -> str:
    """Return what is wrong with a file, as a message has it behind the file's name."""
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, IsADirectoryError):
        return "is a folder, not a file"
    return str(error.strerror)


def why_unreadable(error: OSError) -> str:
    """Return why a file could not be opened for reading, likewise."""
    if isinstance(error, FileNotFoundError | IsADirectoryError):
        return in_words(error)
    return f"cannot be read: {error.strerror}"


def read_text(path: Path) -> str:
    """Return the content of a UTF-8 text file.

    Raises:
        InputError: It does not exist, or cannot be read as text.
    """
    try:
        with open_regular(path) as file:
            return io.TextIOWrapper(file, encoding="utf-8").read()
    except UnicodeDecodeError as error:
        raise InputError(f"is not UTF-8 text (byte {error.start})", where=path) from error
    except OSError as error:
        raise InputError(why_unreadable(error), where=path) from error


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
