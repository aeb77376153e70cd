"""10,000 files with something wrong: success or an error of ours, within 5 s and 1 GB."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from helpers.hostile import KINDS

pytestmark = pytest.mark.faults

CASES = 10_000 // len(KINDS) + 1


@pytest.mark.parametrize("kind", KINDS)
def test_no_mutated_file_does_harm(kind: str) -> None:
    """In a process of its own, which a crash would end."""
    command = [sys.executable, "-m", "helpers.hostile", kind, "0", str(CASES)]
    tests = Path(__file__).parents[1]
    outcome = subprocess.run(command, cwd=tests, capture_output=True, text=True)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
