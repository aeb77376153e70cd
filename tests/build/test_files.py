"""Pieces of a file: written by threads, each once, hashed in order."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mergesearch.build import files
from mergesearch.build.files import (
    Piece,
    RunningDigest,
    file_digest,
    full_disk_is_build_error,
    scratch_file,
    write_at,
    write_pieces,
)
from mergesearch.errors import BuildError
from mergesearch.merge.stopping import Stopping


@pytest.fixture
def fd(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    yield descriptor
    os.close(descriptor)


def nothing() -> None:
    """Read nothing ahead."""


@pytest.mark.parametrize("threads", [1, 2, 5, None])
def test_every_piece_is_written_once(threads: int | None) -> None:
    written: list[int] = []
    finished: list[tuple[int, int]] = []
    pieces = [
        Piece(("", 0), index, lambda index=index: written.append(index), nothing)
        for index in range(9)
    ]
    write_pieces(pieces, threads, Stopping(), lambda done, of: finished.append((done, of)))
    assert sorted(written) == list(range(9))
    assert sorted(finished) == [(done, 9) for done in range(1, 10)]


def test_pieces_that_come_later_are_read_ahead_once_each() -> None:
    ahead: list[int] = []
    pieces = [
        Piece(("", 0), index, nothing, lambda index=index: ahead.append(index))
        for index in range(9)
    ]
    write_pieces(pieces, 1, Stopping())
    assert ahead == list(range(1, 9))


def test_the_first_failure_ends_all_and_is_raised() -> None:
    written: list[int] = []

    def fail() -> None:
        raise BuildError("no")

    pieces = [Piece(("", 0), 0, fail, nothing)]
    pieces += [Piece(("", 0), index, lambda: written.append(1), nothing) for index in range(1, 500)]
    with pytest.raises(BuildError, match="no"):
        write_pieces(pieces, 1, Stopping())
    assert written == []


def read_blocks(stopping: Stopping, started: threading.Event) -> None:
    """What takes long: block after block, until someone ends it; three seconds at most."""
    for _ in range(300):
        started.set()
        stopping.check()
        time.sleep(0.01)


def test_of_two_failures_the_first_in_the_file_is_raised() -> None:
    failed = threading.Event()

    def fail_late() -> None:
        failed.wait(3)
        raise BuildError("first")

    def fail() -> None:
        failed.set()
        raise BuildError("second")

    with pytest.raises(BuildError, match="first"):
        write_pieces(
            [Piece(("", 0), 0, fail_late, nothing), Piece(("", 0), 1, fail, nothing)], 2, Stopping()
        )


def test_an_interruption_ends_what_is_under_way() -> None:
    """Ctrl-C comes while all threads are inside a piece."""
    stopping, started = Stopping(), threading.Event()

    def interrupt() -> None:
        started.wait(3)
        os.kill(os.getpid(), signal.SIGINT)
        read_blocks(stopping, started)

    pieces = [
        Piece(("", 0), 0, lambda: read_blocks(stopping, started), nothing),
        Piece(("", 0), 1, interrupt, nothing),
    ]
    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        write_pieces(pieces, 2, stopping)
    assert time.monotonic() - begun < 2


@pytest.mark.parametrize("size", [1, 1000, (1 << 20) + 3])
def test_the_digest_is_that_of_the_whole_file_in_any_order(fd: int, size: int) -> None:
    content = random.Random(0).randbytes(7 * size)
    pieces = [Piece(("", 0), index * size, nothing, nothing) for index in range(7)]
    digest = RunningDigest(fd, pieces)
    order = list(range(7))
    random.Random(1).shuffle(order)
    for index in order:
        os.pwrite(fd, content[index * size : (index + 1) * size], index * size)
        digest.finished(index)
    assert digest.hexdigest(len(content)) == hashlib.sha256(content).hexdigest()
    assert file_digest(fd) == hashlib.sha256(content).hexdigest()


def test_the_digest_is_right_with_threads(fd: int) -> None:
    content = random.Random(0).randbytes(40 << 16)
    barrier = threading.Barrier(2)

    def write(index: int) -> None:
        if index < 2:
            barrier.wait(10)
        place = index << 16
        os.pwrite(fd, content[place : place + (1 << 16)], place)
        digest.finished(index)

    pieces = [Piece(("", 0), i << 16, lambda index=i: write(index), nothing) for i in range(40)]
    digest = RunningDigest(fd, pieces)
    write_pieces(pieces, 2, Stopping())
    assert digest.hexdigest(len(content)) == hashlib.sha256(content).hexdigest()


def test_arrays_are_written_whole_where_they_belong(
    fd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the system writes a part at a time, and of an array that is not contiguous."""
    whole = os.pwrite
    monkeypatch.setattr(files.os, "pwrite", lambda fd, data, at: whole(fd, bytes(data)[:5], at))
    array = np.arange(24, dtype=np.uint16).reshape(4, 6)[:, ::2]
    write_at(fd, array, 3)
    assert os.pread(fd, 100, 0) == bytes(3) + array.tobytes()


def test_a_scratch_file_is_new_and_writable(monkeypatch: pytest.MonkeyPatch) -> None:
    for in_memory in (True, False):
        if not in_memory:
            monkeypatch.delattr(files.os, "memfd_create", raising=False)
        fd, path, temporary = scratch_file()
        try:
            os.pwrite(fd, b"abc", 0)
            assert path.read_bytes() == b"abc"
            assert temporary or in_memory
        finally:
            os.close(fd)
            if temporary:
                path.unlink()


@pytest.mark.parametrize(("number", "passing"), [(28, True), (12, True), (5, False)])
def test_a_full_disk_is_an_error_of_the_build_that_may_pass(number: int, passing: bool) -> None:
    with (
        pytest.raises(BuildError, match="the model could not be written: the reason") as caught,
        full_disk_is_build_error(),
    ):
        raise OSError(number, "the reason")
    assert caught.value.passing is passing


def test_threads_are_started_once() -> None:
    seen = set()
    for _ in range(5):
        together = threading.Barrier(2, timeout=10)

        def write(together: threading.Barrier = together) -> None:
            seen.add(threading.get_ident())
            together.wait()

        pieces = [Piece(("", row), row, write, nothing) for row in range(2)]
        write_pieces(pieces, 2, Stopping())
    assert len(seen) == 2
