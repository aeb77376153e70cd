"""`search check`: what it tells of good files, and that bad ones fail as a run would."""

from __future__ import annotations

import json
from pathlib import Path

from command import search

from mergesearch.candidate import build_candidate
from mergesearch.candidate.estimate import estimate
from mergesearch.checkpoint import open_parents
from mergesearch.recipe import Recipe

RECIPE = """
name: half
merge_method: slerp
base_model: demo:instruct
models: [{model: demo:instruct}, {model: demo:reason}]
parameters: {t: 0.5}
---
merge_method: ties
base_model: demo:base
models: [{model: half, parameters: {density: 0.5}}]
"""


def test_a_space_and_its_objectives() -> None:
    outcome = search("check", "demo", "--objectives", "demo", "--json")
    facts = json.loads(outcome.out)
    assert outcome.code == 0
    assert facts["recipes_planned"] == 2
    assert facts["items_of_a_trial"] == 640
    assert facts["build_seconds"] < 60
    assert facts["parameters"] == 3807488


def test_the_estimate_is_of_the_candidates_own_size(tmp_path: Path) -> None:
    """The tensors' bytes; a candidate has a header besides."""
    (tmp_path / "r.yaml").write_text(RECIPE, encoding="utf-8")
    recipe = Recipe.from_yaml(RECIPE)
    parents = open_parents(recipe)
    found = estimate(recipe, parents)
    with build_candidate(recipe, parents) as built:
        assert built.size - 100_000 < found.size < built.size
    plain = search("check", tmp_path / "r.yaml")
    assert plain.code == 0
    assert "3 fit each other, 6 layers of 256" in plain.out


def test_objectives_alone() -> None:
    outcome = search("check", Path(__file__).parents[2] / "objectives" / "demo.yaml")
    assert outcome.code == 0
    assert "all tasks load" in outcome.out


def test_what_would_fail_at_night_fails_now(tmp_path: Path) -> None:
    for text, message in (
        (RECIPE.replace("demo:base", "demo:bas"), "demo:bas"),
        (RECIPE.replace("ties", "tise"), "unknown merge_method 'tise'"),
        ("objectives: {a: {tasks: [{task: nothing, metric: acc}], reference: 0}}", "nothing"),
    ):
        (tmp_path / "f.yaml").write_text(text, encoding="utf-8")
        outcome = search("check", tmp_path / "f.yaml")
        assert outcome.code == 2
        assert message in outcome.err
