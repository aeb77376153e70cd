from __future__ import annotations

import pytest

from mergesearch.errors import ObjectivesError
from mergesearch.scoring.task_files import local_rows, outside_data, read_tasks
from mergesearch.tasks.checks import answer_results


def test_functions_are_resolved_and_data_files_absolute(folder):
    tasks = read_tasks(folder / "tasks").tasks
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
    [(None, "no data file"), ("{", "not valid JSON"), ("[1]", "not a JSON object")],
)
def test_damaged_data_are_named(tmp_path, content, message):
    (tmp_path / "x.yaml").write_text(
        "task: x\ndataset_path: json\ndataset_kwargs: {data_files: {test: x.jsonl}}"
    )
    if content is not None:
        (tmp_path / "x.jsonl").write_text(content)
    with pytest.raises(ObjectivesError, match=message):
        local_rows(read_tasks(tmp_path).tasks["x"])


def _with_code(folder, text="def results(doc, results):\n    return {'acc': 1.0}\n"):
    (folder / "x.yaml").write_text("task: x\nprocess_results: !function utils.results")
    (folder / "utils.py").write_text(text)


def test_code_beside_a_task_runs_only_where_it_is_trusted(tmp_path):
    _with_code(tmp_path)
    with pytest.raises(ObjectivesError, match="runs code of its own") as caught:
        read_tasks(tmp_path)
    assert "--trust-tasks" in str(caught.value)
    assert read_tasks(tmp_path, trusted=True).tasks["x"]["process_results"]({}, []) == {"acc": 1.0}


def test_trusted_code_that_fails_to_load_is_named(tmp_path):
    _with_code(tmp_path, "import nothing_of_this_name")
    with pytest.raises(ObjectivesError, match="utils cannot be loaded"):
        read_tasks(tmp_path, trusted=True)


def test_functions_of_installed_tasks_are_not_foreign_code(tmp_path):
    (tmp_path / "x.yaml").write_text(
        "task: x\nprocess_results: !function lm_eval.tasks.ifeval.utils.agg_inst_level_acc"
    )
    assert read_tasks(tmp_path).tasks["x"]["process_results"]([[True, False]]) == 0.5


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


def _write(folder, **files):
    for name, text in files.items():
        path = folder / f"{name.replace('__', '/')}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


def test_a_yaml_may_include_others(tmp_path):
    """Its own keys come first, then those of later includes; data files stay beside their YAML."""
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "_default").write_text(
        "tag: mine\ntask_list: [{task: unseen}]\n"
        "dataset_path: json\ndataset_kwargs: {data_files: {test: x.jsonl}}\nnum_fewshot: 2\n"
    )
    _write(
        tmp_path,
        first="include: base/_default\ntask: first\nnum_fewshot: 0",
        second="include: [base/_default, more.yaml]\ntask: second",
        more="num_fewshot: 5\nrepeats: 3",
    )
    found = read_tasks(tmp_path)
    assert sorted(found.tasks) == ["first", "second"]
    assert found.tags == {"mine": ["first", "second"]}
    first, second = found.tasks["first"], found.tasks["second"]
    data = str((tmp_path / "base" / "x.jsonl").resolve())
    assert first["dataset_kwargs"]["data_files"] == {"test": data}
    assert (first["num_fewshot"], second["num_fewshot"], second["repeats"]) == (0, 5, 3)


def test_a_yaml_may_hold_a_list_of_tasks(tmp_path):
    _write(
        tmp_path,
        many="output_type: generate_until\ntask_list:\n"
        "  - {task: one, num_fewshot: 1}\n  - {task: two, output_type: multiple_choice}\n",
    )
    assert read_tasks(tmp_path).tasks == {
        "one": {"output_type": "generate_until", "task": "one", "num_fewshot": 1},
        "two": {"output_type": "multiple_choice", "task": "two"},
    }


def test_groups_and_tags_are_named(tmp_path):
    _write(
        tmp_path,
        group="group: all\ntask: [one, {task: two, num_fewshot: 3}]\nmetadata: {version: 1}",
        one="task: one\ntag: [small, fast]",
        two="task: two\ngroup: small",
    )
    found = read_tasks(tmp_path)
    assert found.groups["all"]["task"] == ["one", {"task": "two", "num_fewshot": 3}]
    assert found.tags == {"small": ["one", "two"], "fast": ["one"]}
    assert found.names == ["one", "two", "all", "small", "fast"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"x": "include: x.yaml\ntask: x"}, "includes itself"),
        ({"x": "include: y.yaml\ntask: x", "y": "include: x.yaml"}, "includes itself"),
        ({"x": "include: nowhere\ntask: x"}, "no such file to include"),
        ({"x": "group: x\ntask: [a]", "y": "task: x"}, "a second task 'x'"),
        ({"x": "task_list: [a, b]"}, "`task_list` is not a list of tasks"),
    ],
)
def test_yamls_that_do_not_fit_together(tmp_path, files, message):
    _write(tmp_path, **files)
    with pytest.raises(ObjectivesError, match=message):
        read_tasks(tmp_path)


def test_what_is_included_from_outside_counts(tmp_path):
    tasks, base = tmp_path / "tasks", tmp_path / "base.yaml"
    tasks.mkdir()
    base.write_text("num_fewshot: 1")
    _write(tasks, x="include: ../base.yaml\ntask: x")
    first = outside_data(tasks)
    base.write_text("num_fewshot: 2")
    assert None is not first != outside_data(tasks)
