"""`search check`: what it tells of good files, and that bad ones fail as a run would."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from helpers.command import search

from mergesearch._system import resources
from mergesearch.build import Workshop
from mergesearch.errors import ScorerCrashed
from mergesearch.objectives import Objective, Objectives, TaskResult, TaskUse
from mergesearch.parents import open_parents
from mergesearch.recipe import Recipe
from mergesearch.runs import check as checking
from mergesearch.runs.check import scoring_report
from mergesearch.scoring import Rehearsal, ScoringProcess
from mergesearch.scoring.rehearsal import Pace
from mergesearch.space import Space

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

UNKNOWN_METRIC = """
objectives: {{a: {{tasks: [{{task: demo_choice, metric: bleu}}], reference: 0}}}}
task_folder: {folder}
"""


DEMO_TASKS = resources.objectives_folder() / "demo"


def demo_objectives(pattern: str, items: Any, tasks: Path = DEMO_TASKS) -> str:
    """The demo's objectives file with other numbers of items, and its task folder named."""
    text = resources.objectives_file("demo").read_text(encoding="utf-8")
    return re.sub(pattern, items, text.replace("task_folder: demo", f"task_folder: {tasks}"))


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What is told of the demo, with a tenth of its items."""
    path = tmp_path_factory.mktemp("check") / "tenth.yaml"
    tenth = demo_objectives(r"(?<=_items: )\d+", lambda number: str(int(number[0]) // 10))
    path.write_text(tenth, encoding="utf-8")
    outcome = search("check", "demo", "--objectives", path, "--json")
    assert outcome.code == 0, outcome
    return dict(json.loads(outcome.out))


def test_a_space_and_its_objectives(facts: dict[str, Any]) -> None:
    assert (facts["kind"], facts["file"]) == ("space", "demo")
    assert Path(facts["objectives"]).name == "tenth.yaml"
    assert (facts["parents"], facts["layers"], facts["hidden"]) == (3, 6, 256)
    assert facts["sampler"] == "noisy-gp"
    space = Space.from_yaml(resources.space_file("demo").read_text(encoding="utf-8"))
    assert [dimension["name"] for dimension in facts["dimensions"]] == [
        dimension.name for dimension in space.dimensions
    ]
    assert facts["recipes_planned"] == 2
    assert (facts["items_of_the_search"], facts["items_of_a_trial"]) == (480, 64)
    assert facts["items_of_validation"] == 160
    assert facts["parameters"] == 3807488
    assert facts["disk"]["safetensors"] == 2 * 3807488


def test_a_night_is_made_of_building_and_scoring(facts: dict[str, Any]) -> None:
    trial = facts["build_seconds"] + facts["scoring_seconds"]["search"]
    assert facts["trial_seconds"] == pytest.approx(trial)
    assert facts["trials_per_hour"] == pytest.approx(3600 / trial)
    assert facts["trials_in_8_hours"] == pytest.approx(8 * 3600 / trial)
    assert list(facts["scoring_seconds"]) == ["search", "validate"]
    assert not facts["scoring_at_most"]


def test_what_is_built_ahead_takes_no_time_of_its_own() -> None:
    """The longer of building and scoring makes a trial then."""
    quiz = Pace("quiz", False, {"search": 40, "validate": 60}, {}, read_seconds=1.0)
    found = Rehearsal(5.0, {"search": 0.0, "validate": 0.0}, (quiz,))
    use = TaskUse("quiz", "acc")
    wanted = Objectives((Objective("reasoning", (use,), "maximize", 0.0),))
    report = scoring_report(found, wanted, 15.0, ahead=False)
    assert report.seconds == {"search": 45.0, "validate": 65.0}
    assert (report.trial_seconds, report.trials_per_hour) == (60.0, 60.0)
    assert report.promoted_trial_seconds is None
    assert scoring_report(found, wanted, 15.0, ahead=True).trial_seconds == 45.0
    assert scoring_report(found, wanted, 90.0, ahead=True).trial_seconds == 90.0
    proxied = Objectives((Objective("reasoning", (use,), "maximize", 0.0, proxy="likelihood"),))
    report = scoring_report(found, proxied, 15.0, ahead=False)
    assert (report.trial_seconds, report.promoted_trial_seconds) == (60.0, 105.0)


def test_memory_is_told_part_by_part(facts: dict[str, Any], tmp_path: Path) -> None:
    memory = facts["memory"]
    assert memory["total"] == sum(memory["parts"].values())
    assert memory["parts"]["the candidate"] == facts["disk"]["gguf"]
    assert "KV caches" in memory["parts"]
    assert not memory["builds_ahead"]
    refused = search("check", "demo", "--memory", "100MB")  # with the demo's own objectives
    assert refused.code == 2
    assert "100 MB is allowed" in refused.err
    space = tmp_path / "space.yaml"  # without objectives, which the built-in one has
    space.write_text(resources.space_file("demo").read_text(encoding="utf-8"))
    alone = json.loads(search("check", space, "--json", "--memory", "1GB").out)
    assert "KV caches" not in alone["memory"]["parts"]
    assert alone["memory"]["budget"] == 10**9
    assert "scoring_seconds" not in alone


def test_the_estimate_is_of_the_very_file(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(RECIPE, encoding="utf-8")
    recipe = Recipe.from_yaml(RECIPE)
    workshop = Workshop.for_recipe(recipe)
    found = workshop.estimate(recipe)
    assert workshop.size(recipe) == found.size
    with workshop.candidate(recipe) as built:
        assert built.size == found.size
    plain = search("check", tmp_path / "r.yaml")
    assert plain.code == 0
    assert "r.yaml: a valid recipe" in plain.out
    assert "3 fit each other, 6 layers of 256" in plain.out


PARENT = Recipe.from_dict({"merge_method": "passthrough", "models": [{"model": "demo:instruct"}]})


@pytest.fixture(scope="module")
def scorer(objectives: Path) -> Iterator[ScoringProcess]:
    """A warm one, with items enough for seconds that can be compared."""
    text = objectives.read_text(encoding="utf-8")
    twice = re.sub(r"(?<=_items: )\d+", lambda number: str(2 * int(number[0])), text)
    wanted = Objectives.from_yaml(twice, objectives.parent)
    with ScoringProcess(wanted) as scorer:
        scorer.start()
        yield scorer


def _with_lengths(pace: Pace, result: TaskResult) -> Pace:
    """A pace that knows how long the answers really are."""
    written = sum(item.tokens_out for item in result.items)
    assert written <= pace.written["validate"]
    return replace(pace, share=written / pace.written["validate"]) if pace.generates else pace


def test_the_time_that_is_told_is_the_time_that_it_takes(
    scorer: ScoringProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tried whole, or as if it were a large model of which 1 and 4 layers stand for all 6."""
    workshop = Workshop.for_recipe(PARENT)
    with workshop.candidate(PARENT) as built:
        scorer.score(built, "validate")  # makes the prompts' templates
        begun = time.perf_counter()
        results = scorer.score(built, "validate")
        seconds = time.perf_counter() - begun
    for whole in (True, False):
        if not whole:
            monkeypatch.setattr(checking, "SMALL_MODEL_BYTES", 0)
        found = checking.rehearse(workshop, PARENT, scorer)
        assert isinstance(found, Rehearsal)
        assert found.at_most == (not whole)
        for pace in found.paces:
            assert pace.read["validate"] == sum(item.tokens_in for item in results[pace.task].items)
        if not whole:  # then the lengths of answers are not known
            paces = tuple(_with_lengths(pace, results[pace.task]) for pace in found.paces)
            found = replace(found, paces=paces)
        assert 0.3 < found.seconds("validate") / seconds < 3


class Crashing:
    """A scorer that dies of every model."""

    def rehearse(self, candidate: object, *, to_the_end: bool) -> Rehearsal:
        raise ScorerCrashed("the scoring process died (SIGSEGV)")


def test_a_crash_on_a_few_layers_says_nothing_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    scorer: Any = Crashing()
    workshop = Workshop.for_recipe(PARENT)
    with pytest.raises(ScorerCrashed):
        checking.rehearse(workshop, PARENT, scorer)
    monkeypatch.setattr(checking, "SMALL_MODEL_BYTES", 0)
    found = checking.rehearse(workshop, PARENT, scorer)
    assert found == "1 of 6 layers cannot be tried: the scoring process died (SIGSEGV)"


def test_layers_come_from_the_parent_that_gives_the_tokens() -> None:
    recipe = Recipe.from_yaml(RECIPE + "tokenizer_source: demo:reason\nquantize: Q4_0\n")
    first = checking.first_layers(recipe, open_parents(recipe.parents()), 2)
    assert first.to_dict() == {
        "merge_method": "passthrough",
        "slices": [{"sources": [{"model": "demo:reason", "layer_range": [0, 2]}]}],
        "dtype": "bfloat16",
        "quantize": "Q4_0",
    }
    plain = checking.first_layers(Recipe.from_yaml(RECIPE), open_parents(recipe.parents()), 1)
    assert plain.parents() == ("demo:base",)  # the base's tokens, not a stage's


def test_a_space_with_a_proxy(demo_tasks: Path, tmp_path: Path) -> None:
    few = "search_items: 8, validate_items: 4"
    text = demo_objectives(r"search_items: .*?validate_items: \d+", few, demo_tasks)
    path = tmp_path / "o.yaml"
    for specialist, code in (("demo:reason", 0), ("demo:reader", 2)):
        proxy = f"reference: 0.15\n    proxy: likelihood\n    specialist: {specialist}"
        path.write_text(text.replace("reference: 0.15", proxy), encoding="utf-8")
        outcome = search("check", "demo", "--objectives", path, "--json")
        assert outcome.code == code, outcome
        if code:
            assert "'demo:reader' is not a parent" in outcome.err
            continue
        facts = json.loads(outcome.out)
        seconds = facts["scoring_seconds"]
        assert list(seconds) == ["proxy", "search", "validate"]
        assert facts["trial_seconds"] == pytest.approx(facts["build_seconds"] + seconds["proxy"])
        promoted = facts["trial_seconds"] + seconds["search"]
        assert facts["promoted_trial_seconds"] == pytest.approx(promoted)


def test_with_a_template(template: str, objectives: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tiny parent is tried whole; of a large one nothing could be left out."""
    arguments = ("check", "recipe.yaml", "--objectives", objectives, "--template", template)
    assert search(*arguments[:-2]).code == 2
    facts = json.loads(search(*arguments, "--json").out)
    assert facts["scoring_seconds"]["search"] > 0
    assert facts["disk"]["gguf"] > 10_000
    monkeypatch.setattr(checking, "SMALL_MODEL_BYTES", 0)
    monkeypatch.setattr(checking, "_DEPTHS", (1,))
    outcome = search(*arguments)
    assert outcome.code == 0, outcome
    assert "unknown: with a template no layers can be left out" in outcome.out


def test_objectives_alone() -> None:
    outcome = search("check", Path(__file__).parents[2] / "objectives" / "demo.yaml")
    assert outcome.code == 0
    assert "all tasks load" in outcome.out
    beside = search("check", resources.objectives_file("demo"), "--memory", "1GB")
    assert beside.code == 2
    assert "an objectives file is checked alone" in beside.err


def test_what_would_fail_at_night_fails_now(tmp_path: Path) -> None:
    for text, message in (
        (RECIPE.replace("demo:base", "demo:bas"), "demo:bas"),
        (RECIPE.replace("ties", "tise"), "unknown merge_method 'tise'"),
        (UNKNOWN_METRIC.format(folder=DEMO_TASKS), "'bleu'"),
    ):
        (tmp_path / "f.yaml").write_text(text, encoding="utf-8")
        outcome = search("check", tmp_path / "f.yaml")
        assert outcome.code == 2
        assert message in outcome.err
