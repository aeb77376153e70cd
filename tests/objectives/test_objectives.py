"""Objectives: the file, the division of items, and scores with their errors."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mergesearch.errors import ObjectivesError, ScoringError
from mergesearch.objectives import ItemResult, MetricValue, Objectives, TaskResult, split_items

FILE = """
objectives:
  follow:
    tasks: [{task: ifeval, metric: prompt_level_strict_acc, search_items: 60}]
  reason:
    reference: 0.25
    tasks:
      - {task: pick, metric: acc, weight: 3}
      - {task: say, metric: exact, weight: 1}
runtime: {n_parallel: 8}
"""


def load(text: str = FILE, folder: Path = Path()) -> Objectives:
    return Objectives.from_yaml(text, folder)


def result(task: str, metric: str, value: float, stderr: float, unscored: int = 0) -> TaskResult:
    items = tuple(ItemResult(task, index, {}, "too long") for index in range(unscored))
    return TaskResult(task, {metric: MetricValue(value, stderr)}, 100 - unscored, unscored, items)


def test_yaml_round_trip() -> None:
    objectives = load()
    assert Objectives.from_yaml(objectives.to_yaml(), Path()) == objectives
    assert objectives.objectives[0].reference == 0.0
    assert objectives.objectives[1].reference == 0.25
    assert objectives.runtime.n_parallel == 8
    assert [use.task for use in objectives.tasks()] == ["ifeval", "pick", "say"]


def test_a_score_is_a_weighted_mean_with_its_error() -> None:
    results = {
        "ifeval": result("ifeval", "prompt_level_strict_acc", 0.5, 0.05),
        "pick": result("pick", "acc", 0.8, 0.04),
        "say": result("say", "exact", 0.4, 0.08, unscored=2),
    }
    score = load().scores(results)["reason"]
    assert score.value == pytest.approx(0.75 * 0.8 + 0.25 * 0.4)
    assert score.stderr == pytest.approx(((0.75 * 0.04) ** 2 + (0.25 * 0.08) ** 2) ** 0.5)
    assert (score.n, score.n_unscored) == (198, 2)


def test_differences_are_paired_by_item() -> None:
    def items(task: str, metric: str, values: list[float]) -> TaskResult:
        rows = tuple(ItemResult(task, i, {metric: value}) for i, value in enumerate(values))
        return TaskResult(task, {}, len(rows), 0, rows)

    one = load("objectives: {o: {tasks: [{task: say, metric: exact}]}}")
    first = {"say": items("say", "exact", [1, 1, 0, 1])}
    second = {"say": items("say", "exact", [0, 1, 0, 0])}
    difference = one.differences(first, second)["o"]
    # per item: 1, 0, 0, 1; standard deviation sqrt(1/3)
    assert difference.value == 0.5
    assert difference.stderr == pytest.approx((1 / 3) ** 0.5 / 2)
    assert difference.n == 4


def test_too_many_unscored_items_fail_the_trial_with_the_reason() -> None:
    results = {
        "ifeval": result("ifeval", "prompt_level_strict_acc", 0.5, 0.05, unscored=6),
        "pick": result("pick", "acc", 0.8, 0.04),
        "say": result("say", "exact", 0.4, 0.08),
    }
    with pytest.raises(ScoringError, match=r"6 of 100 items could not be scored[\s\S]*too long"):
        load().scores(results)


def test_the_fingerprint_follows_what_scores_depend_on(tmp_path: Path) -> None:
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "a.jsonl").write_text("{}\n")
    text = FILE + "task_folder: tasks\n"
    first = load(text, tmp_path).fingerprint()
    assert (
        load(text.replace("n_parallel: 8", "n_parallel: 8, threads: 1"), tmp_path).fingerprint()
        == first
    )
    assert load(text.replace("n_parallel: 8", "n_parallel: 4"), tmp_path).fingerprint() != first
    (tmp_path / "tasks" / "__pycache__").mkdir()
    (tmp_path / "tasks" / "__pycache__" / "a.pyc").write_bytes(b"compiled")
    assert load(text + "keep_texts: false\n", tmp_path).fingerprint() == first
    (tmp_path / "tasks" / "a.jsonl").write_text("{ }\n")
    assert load(text, tmp_path).fingerprint() != first


@given(
    st.lists(st.text(max_size=3), min_size=0, max_size=40),
    st.integers(0, 12),
    st.integers(0, 12),
    st.integers(0, 5),
)
def test_split_is_disjoint_by_content_and_nested(
    contents: list[str], n_search: int, n_validate: int, seed: int
) -> None:
    if len(set(contents)) < n_search + n_validate:
        with pytest.raises(ObjectivesError, match="distinct"):
            split_items(contents, n_search, n_validate, seed)
        return
    search, validate = split_items(contents, n_search, n_validate, seed)
    assert (len(search), len(validate)) == (n_search, n_validate)
    assert len({contents[index] for index in search + validate}) == n_search + n_validate
    smaller, _ = split_items(contents, n_search // 2, 0, seed)
    assert smaller == search[: n_search // 2]


def test_split_depends_on_the_seed_and_not_on_the_order_of_items() -> None:
    contents = [f"item {index}" for index in range(50)]
    first, _ = split_items(contents, 10, 10, 0)
    backwards, _ = split_items(contents[::-1], 10, 10, 0)
    assert [contents[i] for i in first] == [contents[::-1][i] for i in backwards]
    assert split_items(contents, 10, 10, 1)[0] != first


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("objectives",), {}, "needs `objectives`"),
        (("typo",), 1, "unknown key 'typo'"),
        (("runtime", "n_parallel"), "8", "'8' is not int"),
        (("runtime", "n_parallel"), 0, "at least 1"),
        (("runtime", "speed"), 1, "unknown key 'speed'"),
        (("runtime", "kv_type"), "f8", "unknown kv_type"),
        (("runtime", "kv_type"), "q8_0", "flash attention only"),
        (("objectives", "reason", "direction"), "up", "unknown direction"),
        (("objectives", "reason", "reference"), None, "is not float"),
        (("objectives", "reason", "tasks"), [], "needs `tasks`"),
        (("objectives", "reason", "tasks"), [{"task": "x"}], "metric"),
        (
            ("objectives", "reason", "tasks"),
            [{"task": "x", "metric": "acc", "weight": 0}],
            "positive",
        ),
        (
            ("objectives", "reason", "tasks"),
            [{"task": "x", "metric": "acc", "chance": 1.0}],
            "no level of guessing",
        ),
        (("task_folder",), "nowhere", "no folder"),
    ],
)
def test_wrong_files_are_refused_by_name(
    path: tuple[str, ...], value: object, message: str
) -> None:
    document = yaml.safe_load(FILE)
    holder = document
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = value
    with pytest.raises(ObjectivesError, match=message):
        Objectives.from_yaml(yaml.safe_dump(document), Path())


def test_picked_answers_need_a_written_reference() -> None:
    with pytest.raises(ObjectivesError, match="needs `reference`"):
        load(FILE.replace("    reference: 0.25\n", ""))


def test_a_metric_may_count_from_chance_level() -> None:
    text = FILE.replace("reference: 0.25", "specialist: null").replace(
        "metric: acc, weight: 3", "metric: acc, chance: 0.25, weight: 3"
    )
    objectives = load(text)
    assert objectives.objectives[1].reference == 0.0
    results = {
        "ifeval": result("ifeval", "prompt_level_strict_acc", 0.5, 0.05),
        "pick": result("pick", "acc", 0.4, 0.03),
        "say": result("say", "exact", 0.4, 0.08),
    }
    score = objectives.scores(results)["reason"]
    # 0.4 is a fifth of the way from 0.25 to 1
    assert score.value == pytest.approx(0.75 * 0.2 + 0.25 * 0.4)
    assert score.stderr == pytest.approx(((0.75 * 0.04) ** 2 + (0.25 * 0.08) ** 2) ** 0.5)
    assert Objectives.from_yaml(objectives.to_yaml(), Path()) == objectives


def test_differences_count_on_the_scale_from_chance_but_from_zero() -> None:
    one = load("objectives: {o: {tasks: [{task: say, metric: acc, chance: 0.5}]}}")

    def items(values: list[float]) -> dict[str, TaskResult]:
        rows = tuple(ItemResult("say", i, {"acc": value}) for i, value in enumerate(values))
        return {"say": TaskResult("say", {}, len(rows), 0, rows)}

    difference = one.differences(items([1, 1, 0, 1]), items([0, 1, 0, 0]))["o"]
    assert difference.value == 1.0  # 0.5 of a range of 0.5
    assert difference.stderr == pytest.approx(2 * (1 / 3) ** 0.5 / 2)


def test_uses_of_one_task_want_the_same_items() -> None:
    text = FILE.replace("{task: say, metric: exact, weight: 1}", "{task: ifeval, metric: x}")
    with pytest.raises(ObjectivesError, match="two uses of this task differ in search_items"):
        load(text)
