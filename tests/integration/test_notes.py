"""What a recipe says without effect is told once by every command that builds it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers.command import search

RECIPE = """
merge_method: model_stock
base_model: {model: {path: "demo:base"}}
models:
  - {model: "demo:instruct", parameters: {weight: 0.5}}
  - {model: {model: {path: "demo:reason", revision: null}}, parameters: {weight: 0.5}}
allow_negative_weights: false
"""
NOTES = [
    "`allow_negative_weights` has no effect: nothing reads it here",
    "`weight` has no effect: model_stock takes filter_wise",
]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("r.yaml").write_text(RECIPE)
    plain = RECIPE.replace("allow_negative_weights: false", "")
    Path("plain.yaml").write_text(plain.replace(", parameters: {weight: 0.5}", ""))


def test_a_build_says_so_and_is_the_same_model() -> None:
    built = search("build", "r.yaml", "-o", "m.gguf")
    assert built.code == 0, built
    assert [line for line in built.err.splitlines() if "has no effect" in line] == NOTES
    plain = search("build", "plain.yaml", "-o", "p.gguf")
    assert "has no effect" not in plain.err
    assert Path("m.gguf").read_bytes() == Path("p.gguf").read_bytes()


def test_a_check_says_so() -> None:
    report = json.loads(search("check", "r.yaml", "--json").out)
    assert [note for note in report["notes"] if "has no effect" in note] == NOTES
    Path("space.yaml").write_text(
        "merge_method: {search: [sce, model_stock]}\nbase_model: demo:base\n"
        "models: [{model: demo:instruct}, {model: demo:reason}]\n"
        "parameters: {select_topk: {search: [0.1, 1]}, density: 0.5}\n"
    )
    report = json.loads(search("check", "space.yaml", "--json").out)
    (note,) = (note for note in report["notes"] if "has no effect" in note)
    assert note.startswith("`density` has no effect: ")


def test_files_for_other_tools_are_told_by_name() -> None:
    Path("moe.yaml").write_text("base_model: a\ngate_mode: hidden\nexperts: [{source_model: b}]")
    for command in (("build", "moe.yaml", "-o", "m.gguf"), ("init", "--from", "moe.yaml")):
        refused = search(*command)
        assert refused.code == 2
        assert "is a file for mergekit-moe" in refused.err
