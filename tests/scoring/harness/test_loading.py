"""Tasks of a folder of one's own: groups, tags, and what cannot be scored."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mergesearch.errors import ObjectivesError
from mergesearch.objectives import Objectives
from mergesearch.scoring.harness import environment

BASE = """
dataset_path: json
dataset_kwargs: {data_files: {test: rows.jsonl}}
test_split: test
output_type: generate_until
doc_to_text: "{{question}}"
doc_to_target: "{{answer}}"
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
generation_kwargs: {until: ["."], max_gen_toks: 100}
"""
FILES = {
    "_base": BASE,
    "one.yaml": "include: _base\ntask: one\ntag: sums",
    "many.yaml": "include: _base\ntask_list:\n  - {task: two, tag: sums}\n"
    '  - {task: three, doc_to_text: "Well, {{question}}"}',
    "all.yaml": "group: all\ntask: [one, {task: two, num_fewshot: 1}, inner]\nrepeats: 2",
    "inner.yaml": "group: inner\ntask: [three]\n"
    "aggregate_metric_list: [{metric: exact_match, weight_by_size: false}]",
    "circle.yaml": "group: circle\ntask: [circle]",
    "written.yaml": "group: written\ntask:\n"
    "  - {task: here, " + ", ".join(BASE.strip().splitlines()) + "}",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    environment.prepare()
    folder = tmp_path_factory.mktemp("tasks")
    for name, text in FILES.items():
        (folder / name).write_text(text, encoding="utf-8")
    rows = ({"question": f"{number} + 1", "answer": str(number + 1)} for number in range(12))
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "rows.jsonl").write_text(lines, encoding="utf-8")
    return folder


def loaded(folder: Path, task: str, **keys: Any) -> Any:
    from mergesearch.scoring.harness.loading import load_tasks

    use = {"task": task, "metric": "exact_match", "search_items": 4, "validate_items": 4}
    document = {"objectives": {"x": {"tasks": [use]}}, "task_folder": ".", **keys}
    (found,) = load_tasks(Objectives.from_yaml(json.dumps(document), folder))
    return found


def described(task: Any) -> Sequence[tuple[str, int, int]]:
    return [
        (
            str(member.task.config.task),
            member.task.get_config("num_fewshot"),
            member.task.get_config("repeats"),
        )
        for member in task.members
    ]


@pytest.mark.parametrize(
    ("name", "members"),
    [
        ("one", [("one", 0, 1)]),
        ("sums", [("one", 0, 1), ("two", 0, 1)]),
        ("inner", [("three", 0, 1)]),
        ("all", [("one", 0, 2), ("two", 1, 2), ("three", 0, 2)]),
        ("written", [("written::here", 0, 1)]),
    ],
)
def test_a_name_stands_for_tasks(
    name: str, members: list[tuple[str, int, int]], folder: Path
) -> None:
    """A task, those of a tag, or a group's, which pass their own keys on."""
    task = loaded(folder, name)
    assert described(task) == members
    assert task.by_size == (name != "inner")
    assert len(task.members[0].docs) == 12


def test_a_group_that_contains_itself_is_refused(folder: Path) -> None:
    with pytest.raises(ObjectivesError, match=r"tasks\.0: the group circle contains itself"):
        loaded(folder, "circle")


def test_an_unknown_task_is_answered_with_those_of_the_folder_and_those_like_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = SimpleNamespace(task_index=["onesie", "gsm8k"])  # all of them take seconds
    monkeypatch.setattr("mergesearch.scoring.harness.loading.installed_tasks", lambda: installed)
    with pytest.raises(ObjectivesError, match=r"unknown task 'ones'\n  expected: .*onesie"):
        loaded(folder, "ones")


def test_answers_that_fill_the_context_are_refused(folder: Path) -> None:
    """As IFEval's 1,280 tokens in a context of 1,024; a thought counts too."""
    loaded(folder, "one", runtime={"n_ctx": 101})
    with pytest.raises(ObjectivesError, match=r"up to 100 tokens leave no room .* n_ctx 100"):
        loaded(folder, "one", runtime={"n_ctx": 100})
    with pytest.raises(ObjectivesError, match=r"up to 612 tokens leave no room .* n_ctx 512"):
        loaded(folder, "one", runtime={"n_ctx": 512}, thinking={"budget": 512})


def test_rows_that_are_decoded_together_are_those_of_the_library() -> None:
    from mergesearch.scoring.harness.loading import _Rows, datasets

    rows = [
        {"a": 1, "b": {"c": [1.5, None], "d": "x"}, "e": [{"f": 1}]},
        {"a": None, "b": {"c": [], "d": "ü"}, "g": True},
        {"a": 2, "e": [{"f": 2, "h": "y"}, {}]},
    ]
    expected = list(datasets.Dataset.from_list(rows))
    assert list(_Rows.from_list(rows)) == expected
    assert expected[1] == {"a": None, "b": {"c": [], "d": "ü"}, "e": None}  # of the first's keys
    assert list(_Rows.from_list([])) == []
