"""`search show` on a pretended run: each parent alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers.command import search as command
from helpers.study_fakes import Bench, run_in, search

from mergesearch.objectives import ItemResult, Items, MetricValue, TaskResult
from mergesearch.runs.folder import RunFolder
from mergesearch.runs.questions import questions
from mergesearch.scoring.texts import ItemText, Texts
from mergesearch.study.settings import StudySettings

pytestmark = pytest.mark.whole


class Answers(Bench):
    """Of four items a candidate solves as many as its value says, the first ones."""

    def _result(self, task: str, metric: str, value: float) -> TaskResult:
        items = tuple(
            ItemResult(task, number, {metric: float(number < 4 * value)}, text=f"to {number}")
            for number in range(4)
        )
        return TaskResult(task, {metric: MetricValue(value, 0.04)}, 4, 0, items)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first parent solves 3 and 1 items of the tasks, the second 1 and 4."""
    path = tmp_path_factory.mktemp("show") / "run"
    run_in(path, search(Answers()), StudySettings(trials=2, sampler="sobol", confirm=0.0))
    return path


def test_a_trial_alone_stands_against_the_parents(folder: Path) -> None:
    shown = command("show", folder, 0)
    assert shown.code == 0, shown
    assert shown.out.startswith("trial 0\nstate   complete, started ")
    assert "minus reason (trial 1, search items): " in shown.out
    assert "chance of being better than reason: " in shown.out
    found = json.loads(command("show", folder, "trial:1", "--json").out)
    assert (found["number"], found["state"]) == (1, "complete")
    assert [parent["parent"] for parent in found["standing"]["parents"]] == ["demo:instruct"]


def test_parents_are_called_by_their_ids_or_the_last_parts_of_them(folder: Path) -> None:
    for name in ("reason", "demo:reason"):
        assert command("show", folder, name).out.startswith("trial 1\n")
        assert "trial 0 minus trial 1, on the search" in command("compare", folder, 0, name).out
        exported = command("export", folder, "--pick", name).out
        assert exported.startswith("# mergesearch: trial 1 of ")
    base = command("show", folder, "base")
    assert "has no complete trial of demo:base alone" in base.err
    assert "expected: demo:instruct or demo:reason\n" in base.err
    against = command("show", folder, "instruct", "--against", "reason").out
    assert against.startswith("trial 0 against trial 1, on the search items: ")
    for words in (("show", folder, "reasn"), ("compare", folder, "reasn", 0)):
        refused = command(*words)
        assert (refused.code, "did you mean 'reason'?" in refused.err) == (2, True), refused


def test_two_trials_differ_on_items_whose_questions_are_not_here(folder: Path) -> None:
    lines = command("show", folder, 0, "--against", 1).out.splitlines()
    assert lines[0] == "trial 0 against trial 1, on the search items: better on 2, worse on 3"
    assert "better 1 of 2: words, item 1, exact_match 1 against 0" in lines
    assert "worse 3 of 3: holders, item 3, acc 0 against 1" in lines
    assert lines[-1].startswith("without questions: no objectives file ")


def test_items_of_one_task_are_shown_with_their_questions(folder: Path) -> None:
    def read(items: Items) -> Texts:
        return {
            task: {number: ItemText(f"{task} {number}?", ("x", "y"), "x") for number in numbers}
            for task, numbers in items.items()
        }

    questions(RunFolder(folder), {"words": [1, 2]}, read_items=read)
    arguments = ("show", folder, 0, "--against", 1, "--task", "words", "--limit", 1)
    assert command(*arguments).out.splitlines() == [
        "trial 0 against trial 1, on the search items: better on 2, worse on 0",
        "",
        "better 1 of 2: words, item 1, exact_match 1 against 0",
        "  question  words 1?",
        "  choices   x / y",
        "  expected  x",
        "  trial 0   to 1",
        "  trial 1   to 1",
        "",
        "1 more item better: raise --limit",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((2,), "the run has no trial 2"),
        ((0, "--against", 7), "the run has no trial 7"),
        (
            (0, "--against", 1, "--task", "sums"),
            "--task: the run has no task 'sums'\n  expected: words, hold",
        ),
        ((0, "--against", 1, "--json"), "--json does not work with --against"),
        ((0, "--against", 1, "--rung", "validate"), "no items on the rung 'validate'"),
    ],
)
def test_refused(arguments: tuple[object, ...], message: str, folder: Path) -> None:
    refused = command("show", folder, *arguments)
    assert (refused.code, message in refused.err) == (2, True), refused
