"""A finished GGUF that waits to be scored, in memory or on disk."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mergesearch._system.closing import Closing
from mergesearch._system.files import why_unreadable
from mergesearch.build.files import file_digest
from mergesearch.errors import CheckpointError


@dataclass
class Candidate(Closing):
    """A finished GGUF; closing it removes it from memory or disk.

    Attributes:
        fd: Descriptor of the file; None once it is closed.
        path: Path that opens the file, here and in processes that this one starts.
        size: Size of the file in bytes.
        digest: SHA-256 (hex) of the whole file.
        seconds: Time that building took.
        temporary: Whether `path` is a file on disk that closing removes.
    """

    fd: int | None
    path: Path
    size: int
    digest: str
    seconds: float
    temporary: bool = False

    def close(self) -> None:
        """Release the candidate; may be called again."""
        if self.fd is not None:
            os.close(self.fd)
            self.fd = None
        if self.temporary:
            with suppress(FileNotFoundError):
                self.path.unlink()
            self.temporary = False


def open_gguf(path: Path) -> Candidate:
    """Open an existing GGUF as a candidate; closing it leaves the file.

    Raises:
        CheckpointError: There is no such file, or it is not a GGUF.
    """
    started = time.perf_counter()
    try:
        fd = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    except OSError as error:
        raise CheckpointError(why_unreadable(error), where=path) from error
    if os.pread(fd, 4, 0) != b"GGUF":
        os.close(fd)
        raise CheckpointError("not a GGUF file", where=path)
    size, sha256 = os.fstat(fd).st_size, file_digest(fd)
    return Candidate(fd, path.resolve(), size, sha256, time.perf_counter() - started)
