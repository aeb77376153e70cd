"""One process at a time works on a run, and none in a folder that has gone."""

from __future__ import annotations

from pathlib import Path

import pytest

from mergesearch.errors import MergeSearchError, RunFolderError
from mergesearch.study.lock import is_running, run_lock, was_started


def test_a_lock_is_held_by_one_and_given_back(tmp_path: Path) -> None:
    path = tmp_path / "run" / ".lock"
    assert not is_running(path)
    with run_lock(path):
        assert is_running(path)
        with pytest.raises(RunFolderError, match="another run is at work in it"), run_lock(path):
            pass
    assert not is_running(path)
    with run_lock(path):
        pass


def test_a_lock_remembers_that_a_run_was_started(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    assert not was_started(path)
    with run_lock(path) as lock:
        assert not was_started(path)
        lock.mark_started()
        lock.mark_started()
    assert was_started(path)
    assert path.read_text() == "A run was started here.\n"


@pytest.mark.parametrize("what", ["removed", "renamed", "made anew"])
def test_a_folder_that_has_gone_is_noticed(tmp_path: Path, what: str) -> None:
    folder = tmp_path / "run"
    with run_lock(folder / ".lock") as lock:
        lock.check()
        if what == "removed":
            (folder / ".lock").unlink()
        else:
            folder.rename(tmp_path / "other")
        if what == "made anew":
            folder.mkdir()
            (folder / ".lock").touch()
        with pytest.raises(MergeSearchError, match="was removed or renamed"):
            lock.check()
