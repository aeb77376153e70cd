"""A run folder: the names in it, and that a run that never started leaves nothing."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import pytest

from mergesearch.errors import RunFolderError
from mergesearch.runs.folder import RunFolder, Storage


def test_every_name_in_the_folder_is_known(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    names = {
        folder.database: "study.db",
        folder.storage: "storage.json",
        folder.lock: ".lock",
        folder.space: "space.yaml",
        folder.objectives: "objectives.yaml",
        folder.pins: "parents.json",
        folder.goal: "goal.json",
        folder.log: "run.log",
        folder.partial: "partial",
        folder.front: "front.json",
        folder.recipes: "recipes",
        folder.report: "report.html",
        folder.recipe(7): "recipes/trial-7.yaml",
    }
    assert {path: tmp_path / name for path, name in names.items()} == {path: path for path in names}


def test_a_folder_that_is_made_for_nothing_is_removed(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "a" / "b")
    with suppress(ZeroDivisionError), folder.made():
        assert folder.log.is_file()
        folder.space.write_text("a space")
        folder.write_pins({"org/a": "org/a@1"})
        _ = 1 / 0
    assert not folder.path.exists()


def test_what_a_run_wrote_stays(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "a")
    with suppress(ZeroDivisionError), folder.made():
        folder.database.touch()
        _ = 1 / 0
    assert folder.holds_run()
    assert folder.log.is_file()


def test_an_empty_folder_that_was_there_stays(tmp_path: Path) -> None:
    with RunFolder(tmp_path).made():
        pass
    assert list(tmp_path.iterdir()) == []


def test_places_that_hold_something_else_are_refused(tmp_path: Path) -> None:
    RunFolder(tmp_path / "new").refuse_foreign()
    RunFolder(tmp_path).refuse_foreign()
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(RunFolderError, match="not empty and holds no run"):
        RunFolder(tmp_path).refuse_foreign()
    with pytest.raises(RunFolderError, match="it is a file"):
        RunFolder(tmp_path / "thesis.txt").refuse_foreign()
    (tmp_path / "study.db").touch()
    RunFolder(tmp_path).refuse_foreign()


def test_pins_are_kept_where_there_are_any(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.write_pins({"demo:base": "demo:base"})
    assert not folder.pins.exists()
    assert folder.read_pins() == {}
    folder.write_pins({"demo:base": "demo:base", "org/a": "org/a@1"})
    assert folder.read_pins() == {"org/a": "org/a@1"}


@pytest.mark.parametrize("text", ["{", "[]", '{"a": 1}', ""])
def test_damaged_pins_are_one_sentence(tmp_path: Path, text: str) -> None:
    folder = RunFolder(tmp_path)
    folder.pins.write_text(text)
    with pytest.raises(RunFolderError, match=r"parents\.json(, line 1)?: not"):
        folder.read_pins()


def test_a_new_study_is_named_after_its_folder(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("night")
    (tmp_path / "loop").symlink_to("loop")
    names = ["night", "link", "loop", "..", os.fsdecode(b"\xff")]
    assert [RunFolder(tmp_path / "night" / ".." / name).name for name in names] == [
        *("night", "night", "loop", tmp_path.parent.name, "\\xff")
    ]


def test_where_a_study_on_a_server_is_stands_in_the_folder(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert folder.read_storage() is None
    assert folder.study.database.startswith("sqlite:")
    storage = Storage("postgresql+psycopg://me@host/studies", "night")
    folder.write_storage(storage)
    assert folder.holds_run()
    assert folder.read_storage() == storage
    assert (folder.study.database, folder.study.name) == (storage.address, "night")
    folder.storage.write_text('{"address": 1}')
    with pytest.raises(RunFolderError, match="not the place of a study"):
        folder.read_storage()
