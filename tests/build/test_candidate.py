"""A candidate: an open GGUF in memory."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.parents import recipe_of

from mergesearch import build as build_module
from mergesearch.build import Workshop, open_gguf
from mergesearch.errors import CheckpointError
from mergesearch.parents import open_parents


def test_closing_is_idempotent_and_removes_temporary_files(
    family: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where there is no memfd, the temporary file goes with the candidate."""
    recipe = recipe_of(family)
    parents = open_parents(recipe.parents())
    monkeypatch.delattr(build_module.files.os, "memfd_create")
    monkeypatch.setattr(build_module.files.tempfile, "tempdir", str(tmp_path))
    built = Workshop(parents).candidate(recipe)
    assert built.path.parent == tmp_path
    built.close()
    built.close()
    assert list(tmp_path.iterdir()) == []


def test_open_gguf_refuses_other_files(tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(b"something else")
    with pytest.raises(CheckpointError, match="not a GGUF"):
        open_gguf(tmp_path / "m.gguf")
    with pytest.raises(CheckpointError, match="cannot be read"):
        open_gguf(tmp_path / "absent.gguf")
