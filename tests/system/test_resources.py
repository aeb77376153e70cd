"""Bundled files: spaces, objectives and parents by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from mergesearch._system import resources
from mergesearch.errors import InputError


def test_demo_parents() -> None:
    assert resources.demo_parents() == ["demo:base", "demo:instruct", "demo:reason"]
    folder = resources.parent_folder("demo:reason")
    assert folder.is_absolute()
    assert (folder / "config.json").is_file()


@pytest.mark.parametrize("ref", ["demo:nobody", "reason", "demo:../parents", "demo:", "demo:."])
def test_what_is_not_a_bundled_parent(ref: str) -> None:
    with pytest.raises(InputError, match="expected: demo:base, demo:instruct, demo:reason"):
        resources.parent_folder(ref)


def test_a_built_in_file_goes_by_its_name() -> None:
    assert resources.space_file("demo") == resources.spaces_folder() / "demo.yaml"
    assert resources.objectives_file("quick") == resources.objectives_folder() / "quick.yaml"
    assert resources.space_file("demo").is_file()


def test_a_file_comes_before_a_built_in_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("demo").write_text("mine", encoding="utf-8")
    assert resources.space_file("demo") == tmp_path / "demo"


@pytest.mark.parametrize(
    "name", ["no-such", "demo.yaml", "../search_spaces/demo", "x" * 5000, "a\0b"]
)
def test_a_name_of_nothing_is_answered_with_the_names_there_are(name: str) -> None:
    with pytest.raises(
        InputError,
        match=r"no search space .*\n  expected: a YAML file, or one of:",
    ):
        resources.space_file(name)


def test_an_installed_package_has_its_own_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resources, "_PACKAGE", tmp_path)
    assert resources.spaces_folder().name == "search_spaces"
    assert resources.spaces_folder() != tmp_path / "_data" / "search_spaces"
    (tmp_path / "_data" / "search_spaces").mkdir(parents=True)
    assert resources.spaces_folder() == tmp_path / "_data" / "search_spaces"
