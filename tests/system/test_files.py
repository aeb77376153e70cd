"""Files and folders are whole or not there."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from mergesearch._system.files import new_file, new_folder, write_json, write_text


def test_a_file_takes_its_place_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "f.txt"
    with new_file(path) as fd:
        os.write(fd, b"new")
        assert not path.exists()
    assert path.read_bytes() == b"new"
    assert os.listdir(path.parent) == ["f.txt"]


def test_a_failure_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "f.txt"
    path.write_text("old")

    def interrupted() -> None:
        with new_file(path) as fd:
            os.write(fd, b"new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["f.txt"]


def test_others_may_read_what_was_written(tmp_path: Path) -> None:
    """As with `open`: the umask decides, not the permissions of temporary files."""
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "f.txt", "text")
        with new_folder(tmp_path / "folder") as folder:
            (folder / "f").touch()
    finally:
        os.umask(before)
    assert (tmp_path / "f.txt").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "folder").stat().st_mode & 0o777 == 0o750


def test_a_folder_takes_its_place_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "folder"

    def failing() -> None:
        with new_folder(path) as unfinished:
            (unfinished / "f").touch()
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        failing()
    assert os.listdir(path.parent) == []
    path.mkdir()
    with new_folder(path) as unfinished:
        (unfinished / "f").touch()
    assert os.listdir(path) == ["f"]
    with pytest.raises(OSError, match="not empty"), new_folder(path):
        pass
    assert os.listdir(path.parent) == ["folder"]


def test_documents_are_indented_and_readable(tmp_path: Path) -> None:
    write_json(tmp_path / "d.json", {"größe": [1]})
    text = (tmp_path / "d.json").read_text(encoding="utf-8")
    assert text == '{\n  "größe": [\n    1\n  ]\n}\n'
    assert json.loads(text) == {"größe": [1]}
