"""From a recipe to the finished model: read, merge, quantize and write, block by block.

Every block of rows is an independent piece of work with a fixed place in the file, so the bytes do
not depend on the number of threads. A candidate lives in memory (a memfd) on Linux, in a temporary
file elsewhere.
"""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mergesearch._system.closing import Closing
from mergesearch.build.blueprint import Template, read_template
from mergesearch.build.files import file_digest, let_others_read, scratch_file
from mergesearch.build.folder import build_safetensors
from mergesearch.build.gguf_file import planned_bytes, write_gguf
from mergesearch.errors import CheckpointError
from mergesearch.parents import Checkpoint
from mergesearch.recipe import Quantization, Recipe

__all__ = [
    "Candidate",
    "Template",
    "build_candidate",
    "build_gguf",
    "build_safetensors",
    "open_gguf",
    "planned_bytes",
    "read_template",
]


@dataclass
class Candidate(Closing):
    """A finished GGUF; closing it removes it from memory or disk.

    Attributes:
        fd: descriptor of the file, None once closed.
        path: opens the file in this process.
        size: bytes.
        digest: SHA-256 (hex) of the whole file.
        seconds: that building took.
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


def build_candidate(
    recipe: Recipe,
    parents: Mapping[str, Checkpoint],
    *,
    threads: int | None = None,
    template: Template | None = None,
    stop: threading.Event | None = None,
) -> Candidate:
    """Build a recipe's GGUF in memory.

    Args:
        recipe: what to build, in its own `quantize` mix.
        parents: opened parents by id.
        threads: None for one per processor.
        template: of an architecture that is not built in; the parents are opened as found then.
        stop: ends the build soon after another thread sets it.

    Raises:
        Interrupted: `stop` was set.
        BuildError: the merge gives numbers that are not finite, or memory runs out.
        RecipeError, CheckpointError: the recipe does not fit the parents.
    """
    begun = time.perf_counter()
    fd, path, temporary = scratch_file()
    try:
        size, digest = write_gguf(fd, recipe, parents, recipe.quantize, threads, template, stop)
    except BaseException:
        Candidate(fd, path, 0, "", 0.0, temporary).close()
        raise
    return Candidate(fd, path, size, digest, time.perf_counter() - begun, temporary)


def build_gguf(
    recipe: Recipe,
    parents: Mapping[str, Checkpoint],
    path: Path,
    *,
    quant: str | None = None,
    threads: int | None = None,
    template: Template | None = None,
) -> str:
    """Build a recipe's GGUF as a file, whole or not at all, and return its SHA-256 (hex).

    Args:
        recipe: what to build.
        parents: opened parents by id.
        path: an existing file is replaced.
        quant: a key of `quantize.MIXES`; None for what the recipe says.
        threads: None for one per processor.
        template: as in `build_candidate`.

    Raises:
        As `build_candidate`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    fd, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        try:
            wanted = recipe.quantize if quant is None else Quantization(quant)
            _, digest = write_gguf(fd, recipe, parents, wanted, threads, template)
            let_others_read(fd)
        finally:
            os.close(fd)
        os.replace(name, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(name)
        raise
    return digest


def open_gguf(path: Path) -> Candidate:
    """Open an existing GGUF as a candidate; closing it leaves the file.

    Raises:
        CheckpointError: no such file, or not a GGUF.
    """
    begun = time.perf_counter()
    try:
        fd = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    except OSError as error:
        raise CheckpointError(f"cannot be read: {error.strerror}", where=path) from error
    if os.pread(fd, 4, 0) != b"GGUF":
        os.close(fd)
        raise CheckpointError("not a GGUF file", where=path)
    size, sha256 = os.fstat(fd).st_size, file_digest(fd)
    return Candidate(fd, path.resolve(), size, sha256, time.perf_counter() - begun)
