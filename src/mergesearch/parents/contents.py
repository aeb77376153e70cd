"""What the files of parents hold: one digest of every byte, and whether they still hold it.

Reading all of a large parent takes minutes. So the digest of a large file is kept in the user's
cache, and holds for as long as the file's size, times and inode are the same. The time of change
is among them, which no program can set back.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

from mergesearch._system.documents import digest_of
from mergesearch._system.files import write_json
from mergesearch._system.machine import available_cores
from mergesearch.errors import ParentChanged
from mergesearch.parents.parent import StoredCheckpoint

_PIECE = 1 << 26  # bytes that one thread hashes
_AT_ONCE = 1 << 20  # bytes read at once
_KEPT_FROM = 1 << 28  # bytes of a file whose digest is kept
_SAID_FROM = 1 << 33  # bytes of a file whose reading is announced
_SETTLED_SECONDS = 2.0  # clocks of file systems may be so coarse


@dataclass(frozen=True)
class Stamp:
    """What becomes another when a file is written or replaced.

    Attributes:
        size: Size in bytes.
        modified: Time of the last write, in nanoseconds.
        changed: Time of the last change of the file or of what is known about it, likewise.
        inode: Number of the file in its file system.
    """

    size: int
    modified: int
    changed: int
    inode: int

    @classmethod
    def of(cls, path: Path) -> Stamp:
        """Return the stamp of a file as it is now.

        Raises:
            ParentChanged: There is no such file any more.
        """
        try:
            found = path.stat()
        except OSError as error:
            raise _changed(path, f"cannot be read any more: {error.strerror}") from error
        if not stat.S_ISREG(found.st_mode):
            raise _changed(path, "is no longer a file")
        return cls(found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)


class ParentFiles:
    """The files of some parents as they were when it was made.

    Raises:
        ParentChanged: A file is not there any more.
    """

    def __init__(self, parents: Mapping[str, StoredCheckpoint]) -> None:
        self._named = [
            (ref, name, path)
            for ref, parent in parents.items()
            for name, path in sorted(parent.files.items())
        ]
        self._stamps = {path: Stamp.of(path) for _, _, path in self._named}
        self._digests: dict[Path, str] = {}

    def are_in(self, place: Path) -> bool:
        """Return whether a place is one of the files, or a folder with one of them."""
        place = Path(os.path.realpath(place))
        files = [Path(os.path.realpath(path)) for path in self._stamps]
        return any(place in (file, file.parent) for file in files)

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) that tells ids, files and every byte of them from all others.

        Raises:
            ParentChanged: A file was written or removed since.
        """
        return digest_of(self._known)

    @cached_property
    def digests(self) -> Mapping[str, str]:
        """The same of each parent alone, by its id, so that one that differs can be named."""
        known = self._known
        refs = dict.fromkeys(ref for ref, _, _ in known)
        return {ref: digest_of([file for file in known if file[0] == ref]) for ref in refs}

    @cached_property
    def _known(self) -> list[tuple[str, str, str]]:
        """Parent, name and digest of every file."""
        self._digests = {path: pieced_digest(path, stamp) for path, stamp in self._stamps.items()}
        return [(ref, name, self._digests[path]) for ref, name, path in self._named]

    def check(self) -> None:
        """Refuse files that have changed; one that was only touched is read again.

        Where the digest was never asked for, one that was touched is refused too.

        Raises:
            ParentChanged: Names the first of them.
        """
        for path, before in self._stamps.items():
            now = Stamp.of(path)
            if now == before:
                continue
            if now.size != before.size:
                raise _changed(path, f"has {now.size} bytes, {before.size} when it was first read")
            if path not in self._digests:
                raise _changed(path, "was written while it was in use")
            if pieced_digest(path, now) != self._digests[path]:
                raise _changed(path, "has other bytes than when it was first read")
            self._stamps[path] = now


def pieced_digest(path: Path, stamp: Stamp) -> str:
    """Return the digest of a file's bytes, which is kept where the file is large.

    It is the SHA-256 (hex) of the SHA-256 of every piece of 64 MiB, so that threads share the work.

    Raises:
        ParentChanged: The file is written while it is read, or cannot be read.
    """
    if stamp.size < _KEPT_FROM:
        return _read_digest(path, stamp)
    kept = _cache_folder() / f"{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:32]}.json"
    known = {"path": str(path.resolve()), **asdict(stamp)}
    try:
        document = json.loads(kept.read_text(encoding="utf-8"))
        digest = document.pop("digest")
        if document == known and isinstance(digest, str):
            return digest
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        pass  # nothing is kept yet, or it is damaged: the file is read
    if stamp.size >= _SAID_FROM:
        message = f"reading {path.name} for its digest, once: {stamp.size / 1e9:.3g} GB"
        print(message, file=sys.stderr, flush=True)
    digest = _read_digest(path, stamp)
    if time.time() - stamp.changed / 1e9 > _SETTLED_SECONDS:
        with suppress(OSError):  # without a cache the file is read the next time too
            write_json(kept, known | {"digest": digest})
    return digest


def _read_digest(path: Path, stamp: Stamp) -> str:
    places = range(0, stamp.size, _PIECE)
    threads = max(1, min(len(places), available_cores()))
    try:
        with path.open("rb") as file, ThreadPoolExecutor(threads) as pool:
            pieces = [
                pool.submit(_piece_digest, file.fileno(), place, min(_PIECE, stamp.size - place))
                for place in places
            ]
            whole = hashlib.sha256(b"".join(piece.result() for piece in pieces))
    except OSError as error:
        raise _changed(path, f"cannot be read: {error.strerror}") from error
    if Stamp.of(path) != stamp:
        raise _changed(path, "is written while it is read")
    return whole.hexdigest()


def _piece_digest(descriptor: int, place: int, size: int) -> bytes:
    digest, end = hashlib.sha256(), place + size
    while chunk := os.pread(descriptor, min(_AT_ONCE, end - place), place):
        digest.update(chunk)
        place += len(chunk)
    return digest.digest()


def _cache_folder() -> Path:
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "mergesearch" / "digests"


def _changed(path: Path, what: str) -> ParentChanged:
    return ParentChanged(
        what, where=path, fix="put the file back as it was; the same command then resumes"
    )
