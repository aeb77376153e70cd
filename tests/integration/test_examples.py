"""The scripts of `examples/` run as they stand, on the bundled parents."""

from __future__ import annotations

import contextlib
import hashlib
import io
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(script: str, *arguments: object) -> str:
    """What a script prints that is run in this process."""
    out = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out):
        patch.setattr(sys, "argv", [script, *map(str, arguments)])
        runpy.run_path(str(EXAMPLES / script), run_name="__main__")
    return out.getvalue()


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A run folder, and what the script that made it printed."""
    folder = tmp_path_factory.mktemp("examples") / "run"
    return folder, run("search_and_resume.py", folder)


def test_all_are_tested() -> None:
    tested = Path(__file__).read_text(encoding="utf-8")
    for script in EXAMPLES.glob("*.py"):
        assert f'"{script.name}"' in tested


def test_a_merge_is_built_by_a_process_of_its_own(tmp_path: Path) -> None:
    command = [sys.executable, EXAMPLES / "build_a_merge.py", tmp_path]
    lines = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, check=True
    ).stdout.splitlines()
    digest = hashlib.sha256((tmp_path / "merge.gguf").read_bytes()).hexdigest()
    assert lines[0].endswith(f"SHA-256 {digest}")
    assert (tmp_path / "merge" / "model.safetensors").is_file()


def test_a_model_is_scored() -> None:
    lines = run("score_a_model.py").splitlines()
    assert lines[0].startswith("instruction: 0.")
    assert lines[1].endswith(" on 16 items")


def test_a_search_goes_on_where_it_stood(searched: tuple[Path, str]) -> None:
    lines = searched[1].splitlines()
    assert lines[0] == "searching with noisy-gp, 0 trials done before"
    assert "searching with noisy-gp, 2 trials done before" in lines
    assert [line[:8] for line in lines if ": complete" in line] == [f"trial {n}:" for n in range(4)]
    assert lines[-1].startswith("4 trials, knee: trial ")


def test_a_run_is_read(searched: tuple[Path, str]) -> None:
    pytest.importorskip("pandas")
    text = run("read_a_run.py", searched[0])
    assert text.startswith("hypervolume 0.")
    assert "instruction" in text
    assert "demo_instruct" in text
    assert "merge_method: task_arithmetic" in text


def test_trials_are_compared(searched: tuple[Path, str]) -> None:
    lines = run("compare_trials.py", searched[0], 0, 1).splitlines()
    assert lines[0].startswith("instruction: +0.")
    assert lines[1].startswith("reasoning: -0.")
    assert "(95 %: " in lines[0]


def test_an_objective_of_ones_own_is_searched(tmp_path: Path) -> None:
    text = run("custom_objective.py", tmp_path / "own")
    assert "'named': " in text
    assert "'brevity': " in text
