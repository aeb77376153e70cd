"""Limits that hold while one thing is done, and no longer."""

from __future__ import annotations

import mmap
import resource
import sys

import pytest

from mergesearch._system.limits import limited_memory


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone counts the bytes")
def test_a_process_gets_so_much_more_and_no_more() -> None:
    before = resource.getrlimit(resource.RLIMIT_AS)
    with limited_memory(64 * 2**20):
        mmap.mmap(-1, 2**20).close()
        with pytest.raises(OSError, match="Cannot allocate memory"):
            mmap.mmap(-1, 256 * 2**20)
    assert resource.getrlimit(resource.RLIMIT_AS) == before
    mmap.mmap(-1, 256 * 2**20).close()
