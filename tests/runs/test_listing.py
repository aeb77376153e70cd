"""Which folders are listed as runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from mergesearch.errors import InputError
from mergesearch.runs.listing import runs_in


def test_sweeps_and_runs_in_folders_of_runs_are_listed_whatever_can_be_read(tmp_path: Path) -> None:
    places = ["a", "a/sweep", "group/b", "group/b/sweep", "other/deep/down/below"]
    for place in places:
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "study.db").touch()
    (tmp_path / "notes.txt").touch()
    listed = list(runs_in(tmp_path))
    assert [run.path.relative_to(tmp_path).as_posix() for run in listed] == places[:4]
    assert {run.state for run in listed} == {"unreadable"}
    assert [run.path for run in runs_in(tmp_path / "a")] == [tmp_path / "a", tmp_path / "a/sweep"]


def test_a_file_is_refused_and_a_missing_folder_holds_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="is a file, not a folder with runs"):
        list(runs_in(tmp_path / "file"))
    assert list(runs_in(tmp_path / "missing")) == []
