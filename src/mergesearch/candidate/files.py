"""Files under construction: work spread over threads, written at fixed places."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mergesearch.errors import BuildError
from mergesearch.machine import available_cores
from mergesearch.merge import PlannedTensor
from mergesearch.merge.plan import rows_per_block


def row_blocks(tensor: PlannedTensor) -> Iterator[tuple[int, int]]:
    """Cut a tensor into blocks: first row, and one after the last."""
    step = rows_per_block(tensor.cols)
    for start in range(0, tensor.rows, step):
        yield start, min(start + step, tensor.rows)


def run(pieces: Iterator[Callable[[], None]], threads: int | None) -> None:
    """Run pieces of work in order on several threads; the first of them that fails ends all."""
    with ThreadPoolExecutor(threads or available_cores()) as pool:
        futures = [pool.submit(piece) for piece in pieces]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
    for future in futures:
        if not future.cancelled():
            future.result()


def scratch_file() -> tuple[int, Path, bool]:
    """A new file for a candidate: descriptor, path, and whether it must be removed."""
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("mergesearch-candidate", os.MFD_CLOEXEC)
        return fd, Path(f"/proc/self/fd/{fd}"), False
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
    while chunk := os.pread(fd, 1 << 22, offset):
        digest.update(chunk)
        offset += len(chunk)
    return digest.hexdigest()


def let_others_read(fd: int) -> None:
    """Give a temporary file the permissions of one that `open` creates."""
    mask = os.umask(0)
    os.umask(mask)
    os.fchmod(fd, 0o666 & ~mask)


def write_json(path: Path, document: Any) -> None:
    """Write a JSON file."""
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


@contextmanager
def full_disk_is_build_error() -> Iterator[None]:
    """Turn a failed write into a BuildError."""
    try:
        yield
    except OSError as error:
        raise BuildError(f"the model could not be written: {error.strerror}") from error
