"""Mapped files that are cut short while they are read."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mergesearch._kernels.mapping import mapped_file

_PAGE = os.sysconf("SC_PAGESIZE")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "x"
    path.write_bytes(b"\x07" * (3 * _PAGE))
    return path


def test_pages_that_are_gone_read_as_zeros(path: Path) -> None:
    pytest.importorskip("mergesearch._kernels._guard")
    values = mapped_file(path)
    os.truncate(path, _PAGE)
    assert values.sum() == 7 * _PAGE
    with path.open("r+b") as file:
        file.truncate(3 * _PAGE)
    assert mapped_file(path)[: 2 * _PAGE].sum() == 7 * _PAGE


def test_a_mapping_keeps_its_values_while_any_view_lives(path: Path) -> None:
    part = mapped_file(path)[5:10].view(np.uint8)
    assert part.tolist() == [7] * 5


@pytest.mark.parametrize("released", [False, True])
def test_any_other_fault_ends_the_process_as_before(path: Path, released: bool) -> None:
    """Also at the place of a mapping that is no more."""
    script = """
import mmap, os, sys
from pathlib import Path
from mergesearch._kernels.mapping import mapped_file

path = Path(sys.argv[1])
values = mapped_file(path)
if sys.argv[2] == "True":
    del values
with path.open("rb") as file:
    unguarded = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
os.truncate(path, 0)
unguarded[0]
"""
    command = [sys.executable, "-c", script, str(path), str(released)]
    assert subprocess.run(command, timeout=60).returncode == -signal.SIGBUS
