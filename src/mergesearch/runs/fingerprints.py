"""What a run's scores depend on besides its space and objectives, as named digests."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from mergesearch.build import Workshop
from mergesearch.objectives import Objectives
from mergesearch.parents import Checkpoint
from mergesearch.scoring.task_files import outside_data
from mergesearch.study.settings import package_versions

_SCORING_PACKAGES = ("mergesearch", "llama-cpp-python", "lm-eval")


def fingerprints(workshop: Workshop, objectives: Objectives) -> dict[str, str]:
    """Return what must be the same when a run goes on: parents, template, task data, versions."""
    versions = package_versions()
    found = {
        "parents": _parents_digest(workshop.parents),
        "scoring": ", ".join(f"{name} {versions[name]}" for name in _SCORING_PACKAGES),
    }
    if workshop.blueprint is not None:
        found["template"] = _file_digest(workshop.blueprint.path)
    data = outside_data(objectives.task_folder)
    if data is not None:
        found["data"] = data
    return found


def _parents_digest(parents: Mapping[str, Checkpoint]) -> str:
    """SHA-256 (hex) of every tensor's name, shape and first row: tells other weights apart."""
    digest = hashlib.sha256()
    for ref, parent in parents.items():
        digest.update(ref.encode())
        for name, info in sorted(parent.tensors.items()):
            digest.update(f"{name} {info.shape} {info.dtype}".encode())
            digest.update(parent.rows(name, 0, 1).tobytes())
    return digest.hexdigest()


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
