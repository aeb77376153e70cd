"""`search init`: files that a person can go on with, and what it refuses."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
import yaml
from helpers.command import search

from mergesearch.errors import InputError
from mergesearch.objectives import Objectives
from mergesearch.recipe import Recipe
from mergesearch.space import Space

RECIPE = """
merge_method: ties
base_model: demo:base
models:
  - {model: demo:instruct, parameters: {weight: 0.75, density: 0.5}}
  - {model: demo:reason, parameters: {weight: 0.25}}
"""
EVOLVE = """
genome: {models: [demo:instruct, demo:reason], merge_method: linear}
tasks: [ifeval, {name: gsm8k, metric: "exact_match,strict-match"}]
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def space(path: str) -> Space:
    return Space.from_yaml(Path(path).read_text(encoding="utf-8"), path)


def test_without_a_recipe_the_demo_is_the_beginning() -> None:
    outcome = search("init")
    assert outcome.code == 0
    assert "then: search run space.yaml --objectives demo" in outcome.out
    assert len(space("space.yaml").dimensions) == 11
    again = search("init")
    assert again.code == 2
    assert "space.yaml: exists already" in again.err


@pytest.mark.parametrize("taken", ["space.yaml", "objectives.yaml"])
def test_what_is_there_is_noticed_before_anything_is_asked(
    monkeypatch: pytest.MonkeyPatch, taken: str
) -> None:
    module = importlib.import_module("mergesearch.cli.init")
    monkeypatch.setattr(module, "_ask", lambda question, default: pytest.fail(question))
    Path(taken).touch()
    with pytest.raises(InputError, match=f"{taken}: exists already"):
        module._interview(Path("space.yaml"), force=False)


def test_a_recipe_becomes_a_space_that_tries_it_first() -> None:
    Path("mine.yaml").write_text(RECIPE, encoding="utf-8")
    outcome = search("init", "--from", "mine.yaml")
    assert outcome.code == 0
    assert "(3 dimensions)" in outcome.out
    made = space("mine-space.yaml")
    assert made.recipe(made.starts()[0]) == Recipe.from_yaml(RECIPE)


def test_what_is_opened_can_be_named() -> None:
    Path("mine.yaml").write_text(RECIPE, encoding="utf-8")
    outcome = search("init", "--from", "mine.yaml", "--open", "demo:reason.weight", "-o", "s.yaml")
    assert outcome.code == 0
    assert [dimension.name for dimension in space("s.yaml").dimensions] == ["demo:reason.weight"]
    wrong = search("init", "--from", "mine.yaml", "--open", "wieght", "-o", "t.yaml")
    assert wrong.code == 2
    assert "there is nothing to search called 'wieght'" in wrong.err
    assert not Path("t.yaml").exists()


def test_an_evolve_file_becomes_a_space_and_objectives() -> None:
    Path("evo.yaml").write_text(EVOLVE, encoding="utf-8")
    outcome = search("init", "--from", "evo.yaml")
    assert outcome.code == 0
    assert len(space("evo-space.yaml").dimensions) == 2
    text = Path("evo-objectives.yaml").read_text(encoding="utf-8")
    Objectives.from_yaml(text, Path())
    assert list(yaml.safe_load(text)["objectives"]) == ["ifeval", "gsm8k"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("merge_method: median\nmodels: [{model: a}, {model: b}]", "no number that can be"),
        ("merge_method: magic\nmodels: [{model: a}]", "unknown merge_method 'magic'"),
        ("a: [", "not valid YAML"),
        ("genome: {models: [a], merge_method: sce}\ntasks: [x]", "merge_method 'sce'"),
    ],
)
def test_files_without_a_space(text: str, message: str) -> None:
    Path("f.yaml").write_text(text, encoding="utf-8")
    outcome = search("init", "--from", "f.yaml")
    assert outcome.code == 2
    assert message in outcome.err
    assert [path.name for path in Path().iterdir()] == ["f.yaml"]
