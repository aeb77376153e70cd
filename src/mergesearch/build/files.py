"""Files under construction: work spread over threads, written at fixed places."""

from __future__ import annotations

import errno
import hashlib
import itertools
import os
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mergesearch._system.machine import available_cores
from mergesearch.errors import BuildError, OutOfResources
from mergesearch.merge.rows import AHEAD
from mergesearch.merge.stopping import Stopping

_SHORTAGES = (errno.ENOSPC, errno.EDQUOT, errno.ENOMEM)
HASHED_AT_ONCE = 1 << 20
_SIGNAL_SECONDS = 0.5  # a signal just before the main thread waits does not wake it
OnProgress = Callable[[int, int], None]
"""Takes how many parts of some work are done, and how many there are."""


@dataclass(frozen=True)
class Piece:
    """One block of a file under construction.

    Attributes:
        source: Merged tensor and its first row that the block is made of.
        offset: Place of its first byte in the file.
        write: Function that computes and writes the block.
        read_ahead: Function that lets the system read what `write` will need from the disk.
    """

    source: tuple[str, int]
    offset: int
    write: Callable[[], None]
    read_ahead: Callable[[], None]


@contextmanager
def full_disk_is_build_error() -> Iterator[None]:
    """Turn a failed write into a BuildError."""
    try:
        yield
    except OSError as error:
        kind = OutOfResources if error.errno in _SHORTAGES else BuildError
        raise kind(f"the model could not be written: {error.strerror}") from error


def in_one_pass(files: Iterable[Sequence[Piece]]) -> list[Piece]:
    """Return the pieces of several files of one merged model in the order to write them in.

    What is made of the same rows comes together, so that the parents are read from the disk once.
    """
    pieces = [piece for file in files for piece in file]
    ranks: dict[str, int] = {}
    for piece in pieces:
        ranks.setdefault(piece.source[0], len(ranks))
    return sorted(pieces, key=lambda piece: (ranks[piece.source[0]], piece.source[1]))


@full_disk_is_build_error()
def write_pieces(
    pieces: Sequence[Piece],
    threads: int | None,
    stopping: Stopping,
    on_progress: OnProgress | None = None,
) -> None:
    """Write pieces in order on several threads, reading ahead.

    None is started after one has failed; of those that fail the first is raised.

    Args:
        pieces: Pieces that do not depend on each other.
        threads: Number of threads; None for one per processor.
        stopping: What ends the pieces that are under way where the caller is interrupted.
        on_progress: Function that is called with the number of written and of all pieces, from
            any thread.
    """
    todo, written = iter(range(len(pieces))), itertools.count(1)
    failures: dict[int, BaseException] = {}

    def write(index: int) -> None:
        first = 1 if index == 0 else AHEAD
        for later in pieces[index + first : index + AHEAD + 1]:
            later.read_ahead()
        pieces[index].write()
        if on_progress is not None:
            on_progress(next(written), len(pieces))

    def work() -> None:
        while not failures and (index := next(todo, None)) is not None:
            try:
                write(index)
            except BaseException as error:
                failures[index] = error

    count = threads or available_cores()
    workers: list[Future[None]] = []
    try:
        for _ in range(count):
            workers.append(_pool(count).submit(work))
        while wait(workers, timeout=_SIGNAL_SECONDS).not_done:
            pass
    except BaseException as error:  # someone interrupts it
        failures[-1] = error
        stopping.stop()
        wait(workers)
    if failures:
        raise failures[min(failures)]


@cache
def _pool(count: int) -> ThreadPoolExecutor:
    """Threads that build; they are kept, as one that starts while memory is short may hang."""
    return ThreadPoolExecutor(count, "build")


class RunningDigest:
    """SHA-256 of a file whose pieces are written out of order, computed while they are.

    Args:
        pieces: Pieces in the order of the file.
        start: Place of the first byte that is hashed.
        before: Bytes that are hashed in place of those before it.
    """

    def __init__(
        self, fd: int, pieces: Sequence[Piece], start: int = 0, before: bytes = b""
    ) -> None:
        self._fd = fd
        self._offsets = [piece.offset for piece in pieces]
        self._finished = bytearray(len(pieces))
        self._first = 0  # number of the first piece that may be unfinished
        self._hashed = start
        self._sha256 = hashlib.sha256(before)
        self._hashing = threading.Lock()

    def finished(self, index: int) -> None:
        """Note that a piece has been written; hash what is complete unless a thread does."""
        self._finished[index] = 1
        if self._hashing.acquire(blocking=False):
            try:
                self._catch_up()
            finally:
                self._hashing.release()

    def hexdigest(self, size: int) -> str:
        """Return the digest of the finished file of `size` bytes."""
        self._hash_to(size)
        return self._sha256.hexdigest()

    def _catch_up(self) -> None:
        missing = self._finished.find(0, self._first)
        self._first = missing if missing >= 0 else len(self._finished) - 1
        if self._offsets[self._first] - self._hashed >= HASHED_AT_ONCE:
            self._hash_to(self._offsets[self._first])

    def _hash_to(self, end: int) -> None:
        while chunk := os.pread(self._fd, min(HASHED_AT_ONCE, end - self._hashed), self._hashed):
            self._sha256.update(chunk)
            self._hashed += len(chunk)


def scratch_file() -> tuple[int, Path, bool]:
    """A new file for a candidate: descriptor, path, and whether it must be removed."""
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("mergesearch-candidate", os.MFD_CLOEXEC)
        return fd, Path(f"/proc/{os.getpid()}/fd/{fd}"), False
    fd, name = tempfile.mkstemp(prefix="mergesearch-", suffix=".gguf")
    return fd, Path(name), True


def write_at(fd: int, array: npt.NDArray[Any], offset: int) -> None:
    """Write an array's bytes at a place of a file."""
    rest = memoryview(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    while rest:
        written = os.pwrite(fd, rest, offset)
        rest, offset = rest[written:], offset + written


def file_digest(fd: int) -> str:
    """SHA-256 (hex) of a whole file."""
    digest, offset = hashlib.sha256(), 0
    while chunk := os.pread(fd, HASHED_AT_ONCE, offset):
        digest.update(chunk)
        offset += len(chunk)
    return digest.hexdigest()
