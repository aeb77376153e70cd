"""Mapped files: arrays of their bytes, which may be cut short without ending the process."""

from __future__ import annotations

import mmap
import weakref
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

try:  # it is not built on systems without POSIX signals
    from mergesearch._kernels import _guard
except ImportError:
    _guard = None  # type: ignore[assignment]


def mapped(file: BinaryIO) -> npt.NDArray[np.uint8]:
    """Return the bytes of a whole file, mapped for reading.

    Where the file is cut short later, its missing pages read as zeros instead of ending the
    process. So who makes something of the bytes looks at the file's size afterwards.

    Raises:
        ValueError: The file is empty.
        OSError: It cannot be mapped.
    """
    mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    array = np.frombuffer(mapping, dtype=np.uint8)
    if _guard is not None:
        _guard.guard(array.ctypes.data, array.size)
        weakref.finalize(mapping, _guard.release, array.ctypes.data)
    return array


def mapped_file(path: Path) -> npt.NDArray[np.uint8]:
    """Return the bytes of a whole file by its path; see `mapped`."""
    with path.open("rb") as file:
        return mapped(file)
