"""What a run's scores depend on besides its space and objectives, as named digests."""

from __future__ import annotations

import hashlib
from pathlib import Path

from mergesearch.build import Workshop
from mergesearch.objectives import Objectives
from mergesearch.scoring.task_files import outside_data
from mergesearch.study.settings import package_versions

_SCORING_PACKAGES = ("mergesearch", "llama-cpp-python", "lm-eval")


def fingerprints(workshop: Workshop, objectives: Objectives) -> dict[str, str]:
    """Return what must be the same for a run to be resumed: parents, task data, versions."""
    versions = package_versions()
    found = {
        "parents": workshop.files.digest,
        "scoring": ", ".join(f"{name} {versions[name]}" for name in _SCORING_PACKAGES),
    }
    if workshop.blueprint is not None:
        found["template"] = _file_digest(workshop.blueprint.path)
    data = outside_data(objectives.task_folder)
    if data is not None:
        found["data"] = data
    return found


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
