"""Links among the files of a parent, which must not lead out of its folder."""

from __future__ import annotations

from pathlib import Path

from mergesearch.errors import CheckpointError
from mergesearch.parents.hub import FILES
from mergesearch.vocabulary.files import MORE_TEMPLATES

_READ = (*FILES, "*.gguf", MORE_TEMPLATES, f"{MORE_TEMPLATES}/*.jinja")


def check_links(folder: Path) -> None:
    """Refuse a folder of which a file that may be read, and copied, lies elsewhere.

    Links within the folder are followed, and those to the blobs of the hub's cache, of which
    its snapshots are made.

    Raises:
        CheckpointError: Names the first such link.
    """
    top = folder.resolve()
    for path in (path for pattern in _READ for path in folder.glob(pattern)):
        target = path.resolve()
        if not target.is_relative_to(top) and not _is_blob(target):
            raise CheckpointError(
                f"{path.relative_to(folder)} is a link to {target}",
                where=folder,
                expected="a file in the folder, or in the cache of the Hugging Face Hub",
                fix="put a copy of the file in its place, or name the folder that the file is in",
            )


def _is_blob(target: Path) -> bool:
    """Whether a file is one of a repository in the hub's cache."""
    blobs = target.parent
    return blobs.name == "blobs" and blobs.parent.name.startswith("models--")
