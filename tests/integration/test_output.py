"""Where commands write: nothing that exists is lost, and `-` is standard output."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.command import search

RECIPE = "merge_method: linear\nmodels: [{model: demo:base, parameters: {weight: 1}}]\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "r.yaml").write_text(RECIPE)
    return tmp_path


def test_a_file_is_replaced_by_force_only() -> None:
    Path("m.gguf").write_text("mine")
    refused = search("build", "r.yaml", "-o", "m.gguf")
    assert refused.code == 2
    assert "m.gguf: exists already" in refused.err
    assert "replace it: --force" in refused.err
    assert Path("m.gguf").read_text() == "mine"
    built = search("build", "r.yaml", "-o", "m.gguf", "--force")
    digest = hashlib.sha256(Path("m.gguf").read_bytes()).hexdigest()
    assert built.out == f"{digest}  m.gguf\n"


def test_a_model_folder_is_replaced_by_force_only() -> None:
    arguments = ("build", "r.yaml", "--to", "safetensors", "-o", "m")
    assert search(*arguments).code == 0
    names = sorted(path.name for path in Path("m").iterdir())
    Path("m/old.txt").write_text("old")
    refused = search(*arguments)
    assert (refused.code, "m: is not empty" in refused.err) == (2, True)
    assert Path("m/old.txt").is_file()
    assert search(*arguments, "--force").code == 0
    assert sorted(path.name for path in Path("m").iterdir()) == names
    assert sorted(path.name for path in Path().iterdir()) == ["m", "r.yaml"]


def test_a_model_goes_to_standard_output() -> None:
    command = [sys.executable, "-m", "mergesearch", "build", "r.yaml", "-o", "-"]
    result = subprocess.run(command, capture_output=True, check=True)
    assert result.stdout[:4] == b"GGUF"
    assert result.stderr.decode() == hashlib.sha256(result.stdout).hexdigest() + "\n"
    assert [path.name for path in Path().iterdir()] == ["r.yaml"]


def test_a_space_goes_to_standard_output_or_over_an_old_one() -> None:
    printed = search("init", "-o", "-")
    assert printed.out.startswith("#")
    assert "space.yaml" not in [path.name for path in Path().iterdir()]
    Path("space.yaml").write_text("mine")
    assert search("init").code == 2
    assert search("init", "--force").code == 0
    assert Path("space.yaml").read_text() == printed.out
