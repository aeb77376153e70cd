"""What items ask, as the data of the demo's tasks have it."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from mergesearch._system import resources
from mergesearch.errors import ObjectivesError
from mergesearch.objectives import Objectives, items_by_task
from mergesearch.scoring.texts import ItemText, item_texts

FOLDER = resources.objectives_folder()


def test_questions_choices_and_expected_answers_are_those_of_the_data() -> None:
    text = resources.objectives_file("demo").read_text(encoding="utf-8")
    keys = [("demo_instruct", 3), ("demo_choice", 2), ("demo_answer", 0)]
    texts = item_texts(Objectives.from_yaml(text, FOLDER), items_by_task(keys))
    found = {(task, number): texts[task][number] for task, number in keys}
    docs = {
        (task, number): json.loads(
            (FOLDER / "demo" / f"{task}.jsonl").read_text(encoding="utf-8").splitlines()[number]
        )
        for task, number in keys
    }
    for key in (keys[0], keys[2]):
        assert found[key] == ItemText(docs[key]["question"], (), docs[key]["answer"])
    doc = docs[keys[1]]
    choices = tuple(choice.strip() for choice in doc["choices"])
    assert found[keys[1]] == ItemText(doc["question"], choices, choices[doc["label"]])


def test_tasks_that_are_not_here_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    none = SimpleNamespace(task_index={})  # all of them take seconds
    monkeypatch.setattr("mergesearch.scoring.harness.loading.installed_tasks", lambda: none)
    text = "objectives: {a: {tasks: [{task: nothing, metric: acc}], reference: 0}}"
    with pytest.raises(ObjectivesError, match="unknown task 'nothing'"):
        item_texts(Objectives.from_yaml(text, FOLDER), {"nothing": [0]})
