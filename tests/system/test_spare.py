"""Room that is taken, given back, and refused; files that leave nothing behind."""

from __future__ import annotations

import errno
import logging
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from mergesearch._system.spare import LEFT_ON_DISK, Spare


def test_memory_is_taken_up_to_the_limit_and_given_back() -> None:
    spare = Spare(1000)
    first = spare.array((10, 20))
    assert first is not None
    assert first.shape == (10, 20)
    assert spare.array((10, 20)) is None
    assert spare.array((50,)) is not None  # nothing holds it
    part = first[3:]
    del first
    assert spare.array((10, 20)) is None  # a part holds the whole
    del part
    assert spare.array((10, 20)) is not None


def test_a_file_takes_what_memory_has_no_room_for_and_has_no_name(tmp_path: Path) -> None:
    array = Spare(0, tmp_path).array((300, 7), or_file=True)
    assert array is not None
    array[:] = np.arange(2100).reshape(300, 7)
    assert array[299, 6] == 2099.0
    assert list(tmp_path.iterdir()) == []
    del array


def test_a_full_disk_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    spare = Spare(0, tmp_path)
    with caplog.at_level(logging.WARNING):
        assert spare.array((3, 3), or_file=True) is None
        assert spare.array((3, 3), or_file=True) is None
    assert len(caplog.messages) == 1
    assert "No space left on device" in caplog.messages[0]
    assert str(tmp_path) in caplog.messages[0]
    assert list(tmp_path.iterdir()) == []


def test_a_disk_is_not_filled_to_its_last_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = LEFT_ON_DISK + 400
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    assert Spare(0, tmp_path).array((100,), or_file=True) is not None
    assert Spare(0, tmp_path).array((101,), or_file=True) is None


def test_a_folder_that_is_not_there_is_no_room(tmp_path: Path) -> None:
    assert Spare(0, tmp_path / "gone").array((3, 3), or_file=True) is None


def test_of_machine_is_half_of_what_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mergesearch._system.spare.available_memory", lambda: 4096)
    assert Spare.of_machine().memory == 2048
    monkeypatch.setattr("mergesearch._system.spare.available_memory", lambda: None)
    assert Spare.of_machine().memory == 0
