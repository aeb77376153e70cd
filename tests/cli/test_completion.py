"""What a shell is offered, asked for as a shell asks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.whole


def offered(*words: str) -> list[str]:
    """Return what bash is offered for the last of the words."""
    environment = os.environ | {
        "_SEARCH_COMPLETE": "complete_bash",
        "COMP_WORDS": " ".join(("search", *words)),
        "COMP_CWORD": str(len(words)),
    }
    code = "import sys; sys.argv = ['search']; from mergesearch.cli import main; main([])"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("expo",), ["export"]),
        (("export", "--fo"), ["--format", "--force"]),
        (("run", "de"), ["demo"]),
        (("run", "--objectives", "lead"), ["leaderboard"]),
    ],
)
def test_commands_options_and_built_in_files(words: tuple[str, ...], expected: list[str]) -> None:
    assert offered(*words) == expected


def test_a_folder_without_a_run_offers_no_trials(tmp_path: Path) -> None:
    assert offered("show", str(tmp_path), "kn") == []
