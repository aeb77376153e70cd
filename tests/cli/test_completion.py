"""What a shell is offered, asked for as a shell asks."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from helpers.command import search


def offered(*words: str) -> list[str]:
    """Return what bash is offered for the last of the words."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("_SEARCH_COMPLETE", "complete_bash")
        patch.setenv("COMP_WORDS", " ".join(("search", *words)))
        patch.setenv("COMP_CWORD", str(len(words)))
        patch.setattr(sys, "argv", ["search"])
        return search().out.split()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("expo",), ["export"]),
        (("export", "--fo"), ["--format", "--force"]),
        (("run", "de"), ["demo"]),
        (("run", "--objectives", "lead"), ["leaderboard"]),
        (("run", "--sampler", "ns"), ["nsga2", "nsga3"]),
        (("score", "m.gguf", "--rung", ""), ["search", "validate"]),
        (("build", "r.yaml", "--quant", "Q4_K"), ["Q4_K_S", "Q4_K_M"]),
        (("run", "demo", "--parent", ""), ["demo:base=", "demo:instruct=", "demo:reason="]),
    ],
)
def test_commands_options_and_built_in_files(words: tuple[str, ...], expected: list[str]) -> None:
    assert offered(*words) == expected


def test_a_folder_without_a_run_offers_no_trials(tmp_path: Path) -> None:
    assert offered("show", str(tmp_path), "kn") == []
