"""Room for what could also be computed anew: memory that is left, then a file without a name."""

from __future__ import annotations

import errno
import logging
import math
import mmap
import os
import shutil
import tempfile
import threading
import weakref
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mergesearch._system.machine import available_memory

Float = npt.NDArray[np.float32]
LEFT_ON_DISK = 1 << 30
"""Bytes of a disk that no file takes: records are written there too."""
_log = logging.getLogger(__name__)


class Spare:
    """Gives arrays that their owners can do without, as long as there is room.

    What an array takes is free again once nothing refers to it. A file has no name: it is gone when
    its array is, or when the process ends, however that comes.

    Attributes:
        memory: Bytes of memory that all arrays together may take.
        folder: Folder for files, None for the system's temporary one.
    """

    def __init__(self, memory: int, folder: Path | None = None) -> None:
        self.memory = memory
        self.folder = folder
        self._taken = 0
        self._lock = threading.RLock()  # arrays may be given back wherever Python collects them
        self._said = False

    @classmethod
    def of_machine(cls, folder: Path | None = None) -> Spare:
        """Return room for half of the memory that is free now."""
        return cls((available_memory() or 0) // 2, folder)

    def array(self, shape: tuple[int, ...], *, or_file: bool = False) -> Float | None:
        """Return an array in memory, or in a file where that is allowed; None: there is no room.

        Args:
            or_file: Whether a file takes what memory has no room for.
        """
        size = 4 * math.prod(shape)
        with self._lock:
            fits = self._taken + size <= self.memory
            self._taken += size if fits else 0
        if fits:
            array = np.empty(shape, dtype=np.float32)
            weakref.finalize(array, self._give_back, size)
            return array
        return self._in_file(shape, size) if or_file and size else None

    def _give_back(self, size: int) -> None:
        with self._lock:
            self._taken -= size

    def _in_file(self, shape: tuple[int, ...], size: int) -> Float | None:
        place = self.folder or Path(tempfile.gettempdir())
        try:
            if shutil.disk_usage(place).free < size + LEFT_ON_DISK:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            with tempfile.TemporaryFile(dir=place) as file:
                # A mapping of a file without space would end the process when it is written to.
                os.posix_fallocate(file.fileno(), 0, size)
                mapping = mmap.mmap(file.fileno(), size)
        except (OSError, AttributeError) as error:
            self._say(place, f"{getattr(error, 'strerror', None) or error}")
            return None
        return np.frombuffer(mapping, dtype=np.float32).reshape(shape)

    def _say(self, place: Path, reason: str) -> None:
        with self._lock:
            said, self._said = self._said, True
        if not said:
            _log.warning(
                "no room to keep what is needed again, neither in memory nor in %s (%s):"
                " it is computed anew, which takes longer",
                place,
                reason,
            )
