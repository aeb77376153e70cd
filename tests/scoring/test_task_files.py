from __future__ import annotations

import pytest

from mergesearch.errors import ObjectivesError
from mergesearch.scoring.task_files import local_rows, outside_data, read_tasks
from mergesearch.tasks.checks import answer_results


def test_functions_are_resolved_and_data_files_absolute(folder):
    tasks = read_tasks(folder / "tasks")
    assert sorted(tasks) == ["tiny_answer", "tiny_choice", "tiny_text"]
    assert tasks["tiny_answer"]["process_results"] is answer_results
    files = tasks["tiny_answer"]["dataset_kwargs"]["data_files"]
    assert files == {"test": str((folder / "tasks" / "tiny_answer.jsonl").resolve())}
    assert len(local_rows(tasks["tiny_answer"])["test"]) == 32


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("task: x\nprocess_results: !function os.system", "not allowed"),
        (
            "task: x\nprocess_results: !function mergesearch.tasks.checks.nothing",
            "no function 'nothing'",
        ),
        ("task: x\nprocess_results: !!python/name:os.system", "not valid YAML"),
        ("task: [", "not valid YAML"),
    ],
)
def test_other_code_is_refused(tmp_path, text, message):
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(ObjectivesError, match=message) as caught:
        read_tasks(tmp_path)
    assert "x.yaml" in str(caught.value)


def test_two_tasks_of_one_name_are_refused(tmp_path):
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text("task: same")
    with pytest.raises(ObjectivesError, match="a second task 'same'"):
        read_tasks(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "no data file"), ("{", "not JSON"), ("[1]", "not a JSON object")],
)
def test_damaged_data_are_named(tmp_path, content, message):
    (tmp_path / "x.yaml").write_text(
        "task: x\ndataset_path: json\ndataset_kwargs: {data_files: {test: x.jsonl}}"
    )
    if content is not None:
        (tmp_path / "x.jsonl").write_text(content)
    with pytest.raises(ObjectivesError, match=message):
        local_rows(read_tasks(tmp_path)["x"])


def _with_code(folder, text="def results(doc, results):\n    return {'acc': 1.0}\n"):
    (folder / "x.yaml").write_text("task: x\nprocess_results: !function utils.results")
    (folder / "utils.py").write_text(text)


def test_code_beside_a_task_runs_only_where_it_is_trusted(tmp_path):
    _with_code(tmp_path)
    with pytest.raises(ObjectivesError, match="runs code of its own") as caught:
        read_tasks(tmp_path)
    assert "--trust-tasks" in str(caught.value)
    assert read_tasks(tmp_path, trusted=True)["x"]["process_results"]({}, []) == {"acc": 1.0}


def test_trusted_code_that_fails_to_load_is_named(tmp_path):
    _with_code(tmp_path, "import nothing_of_this_name")
    with pytest.raises(ObjectivesError, match="utils cannot be loaded"):
        read_tasks(tmp_path, trusted=True)


def test_functions_of_installed_tasks_are_not_foreign_code(tmp_path):
    (tmp_path / "x.yaml").write_text(
        "task: x\nprocess_results: !function lm_eval.tasks.ifeval.utils.agg_inst_level_acc"
    )
    assert read_tasks(tmp_path)["x"]["process_results"]([[True, False]]) == 0.5


def test_data_may_stand_where_an_environment_variable_says(tmp_path, monkeypatch):
    tasks, data = tmp_path / "tasks", tmp_path / "data"
    tasks.mkdir()
    data.mkdir()
    (tasks / "x.yaml").write_text(
        "task: x\nprocess_results: !function os.system\n"
        "dataset_path: json\ndataset_kwargs: {data_files: {test: $THE_DATA/x.jsonl}}"
    )
    monkeypatch.delenv("THE_DATA", raising=False)
    with pytest.raises(ObjectivesError, match=r"variable in \$THE_DATA/x.jsonl is not set"):
        outside_data(tasks)
    monkeypatch.setenv("THE_DATA", str(data))
    with pytest.raises(ObjectivesError, match="no data file"):
        outside_data(tasks)
    (data / "x.jsonl").write_text("{}\n")
    first = outside_data(tasks)
    (data / "x.jsonl").write_text('{"a": 1}\n')
    assert None is not first != outside_data(tasks)


def test_data_beside_the_tasks_are_not_outside(folder):
    assert outside_data(folder / "tasks") is None
    assert outside_data(None) is None
