"""Uploads to a hub on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.hub_server import Hub, serve
from huggingface_hub import constants

from mergesearch.errors import InputError, MergeSearchError
from mergesearch.parents.uploading import Upload


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "Night"
    (made / ".cache").mkdir(parents=True)
    (made / ".cache" / "state").write_text("no")
    (made / "README.md").write_text("---\nlicense: mit\n---\n")
    (made / "Night-Q4_0.gguf").write_bytes(b"GGUF" * 20)
    return made


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    (tmp_path / "token").write_text("hf_of_nobody")
    (tmp_path / "empty").mkdir()
    with serve(Hub({"me/Night": tmp_path / "empty"})) as running:
        monkeypatch.setattr(constants, "ENDPOINT", running.url)
        yield running


def test_a_folder_is_uploaded_to_a_private_repository(hub: Hub, folder: Path) -> None:
    upload = Upload.of(folder, "me/Night", private=True)
    assert upload.files == [("Night-Q4_0.gguf", 80), ("README.md", 21)]
    assert upload.run() == f"{hub.url}/me/Night"
    assert hub.created[0]["visibility"] == "private"
    assert ("POST", "/api/validate-yaml", None) in hub.requests  # of the card's metadata
    assert hub.uploaded == {
        "Night-Q4_0.gguf": b"GGUF" * 20,
        "README.md": b"---\nlicense: mit\n---\n",
    }


def test_what_is_no_finished_folder_is_refused(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(InputError, match="no folder with a README"):
        Upload.of(tmp_path, "me/Night", private=True)
    with pytest.raises(InputError, match="not a repository's name"):
        Upload.of(folder, "Night", private=True)


def test_a_hub_that_is_not_there_is_an_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(MergeSearchError, match="the upload failed") as found:
        Upload.of(folder, "me/Night", private=True).run()
    assert found.value.where == "me/Night"
