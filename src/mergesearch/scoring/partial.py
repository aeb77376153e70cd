"""Finished chunks of a candidate that is still being scored, kept on disk until it is done.

A chunk's results depend on nothing but its requests, the candidate and the runtime settings. So a
candidate whose scoring was interrupted resumes after its last finished chunk, to the same bits.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from mergesearch._system.files import new_file
from mergesearch.scoring.answers import Generated
from mergesearch.scoring.chunks import Job, Likelihood


class PartialScores:
    """The finished chunks of one candidate, a file each.

    Args:
        folder: Folder that holds nothing else; made where it is missing, in one that is there.
        candidate: SHA-256 (hex) of the GGUF.
        fingerprint: Fingerprint of the objectives.
    """

    def __init__(self, folder: Path, candidate: str, fingerprint: str) -> None:
        self._folder = folder / f"{candidate[:32]}-{fingerprint[:16]}"
        with suppress(OSError):
            folder.mkdir(exist_ok=True)
            self._folder.mkdir(exist_ok=True)

    def give_way_to(self, other: PartialScores) -> None:
        """Remove the chunks, now that another candidate is scored; unless it is the same one."""
        if other._folder != self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)

    def read(self, job: Job) -> tuple[list[Any], float] | None:
        """Return a chunk's results and seconds, None where none are there whole."""
        try:
            digest, _, body = self._path(job).read_bytes().partition(b"\n")
        except OSError:
            return None
        if hashlib.sha256(body).hexdigest().encode() != digest:
            return None
        stored = json.loads(body)
        results: list[Any] = [
            Generated(fields[0], tuple(fields[1]), *fields[2:])
            if job.generates
            else Likelihood(*fields)
            for fields in stored["results"]
        ]
        return results, stored["seconds"]

    def write(self, job: Job, results: Sequence[Generated | Likelihood], seconds: float) -> None:
        """Keep a chunk's results; a reader sees all of them or none, also after a power loss.

        One that cannot be kept, on a full disk, is only run again if the scoring is interrupted.
        """
        if not self._folder.is_dir():  # nor is a run folder made again that was renamed
            return
        fields = [list(vars(result).values()) for result in results]
        body = json.dumps({"seconds": seconds, "results": fields}).encode()
        digest = hashlib.sha256(body).hexdigest().encode()
        with (
            suppress(OSError),
            new_file(self._path(job)) as fd,
            open(fd, "wb", closefd=False) as file,
        ):
            file.write(digest + b"\n" + body)
            file.flush()
            os.fsync(fd)

    def _path(self, job: Job) -> Path:
        return self._folder / f"{hashlib.sha256(repr(job).encode()).hexdigest()[:32]}.json"
