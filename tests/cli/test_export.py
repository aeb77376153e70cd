"""`search export` on a pretended run: what it says beside the file."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from helpers.command import search as command
from helpers.modelfile_grammar import parsed
from helpers.study_fakes import run_in, search

from mergesearch.study.settings import StudySettings

pytestmark = pytest.mark.whole


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("export") / "a run"
    run_in(path, search(), StudySettings(trials=2, sampler="sobol", confirm=0.0))
    return path


@pytest.mark.parametrize("to_file", [True, False])
def test_a_modelfile_names_the_gguf_that_the_next_command_builds(
    to_file: bool, folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "Modelfile" if to_file else "-"
    exported = command("export", folder, "--pick", 1, "--format", "modelfile", "-o", out)
    text = (tmp_path / "Modelfile").read_text() if to_file else exported.out
    (kind, name), *_ = parsed(text)
    last = (exported.out if to_file else exported.err).splitlines()[-1]
    words = shlex.split(last.removeprefix("next: "))
    assert words[:2] == ["search", "build"]
    target = Path(words[words.index("-o") + 1])
    assert (kind, name) == ("FROM", f"./{target.name}")
    assert target.parent == (tmp_path if to_file else Path())
    assert words[2:5] == [str(folder), "--pick", "trial:1"]
