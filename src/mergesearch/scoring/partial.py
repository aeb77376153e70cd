"""Finished chunks of a candidate that is still being scored, kept on disk until it is done.

A chunk's results depend on nothing but its requests, the candidate and the runtime settings. So a
candidate whose scoring was interrupted goes on after its last finished chunk, to the same bits.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mergesearch._system.files import write_text
from mergesearch.scoring.requests import Job
from mergesearch.scoring.sequences import Generated, Likelihood


class PartialScores:
    """The finished chunks of one candidate, a file each; those of all others are removed.

    Args:
        folder: that holds nothing else; made where it is missing.
        candidate: SHA-256 (hex) of the GGUF.
        fingerprint: of the objectives.
    """

    def __init__(self, folder: Path, candidate: str, fingerprint: str) -> None:
        self._folder = folder / f"{candidate[:32]}-{fingerprint[:16]}"
        self._folder.mkdir(parents=True, exist_ok=True)
        for other in folder.iterdir():
            if other != self._folder:
                shutil.rmtree(other, ignore_errors=True)

    def read(self, job: Job) -> tuple[list[Any], float] | None:
        """Return a chunk's results and seconds, None where it was not finished."""
        try:
            stored = json.loads(self._path(job).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        results = [
            Generated(one[0], tuple(one[1]), one[2]) if job.generates else Likelihood(*one)
            for one in stored["results"]
        ]
        return results, stored["seconds"]

    def write(self, job: Job, results: Sequence[Generated | Likelihood], seconds: float) -> None:
        """Keep a chunk's results; a reader sees all of them or none."""
        listed = [list(vars(one).values()) for one in results]
        write_text(self._path(job), json.dumps({"seconds": seconds, "results": listed}))

    def _path(self, job: Job) -> Path:
        return self._folder / f"{hashlib.sha256(repr(job).encode()).hexdigest()[:32]}.json"
