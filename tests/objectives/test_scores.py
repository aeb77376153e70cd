"""Scores are weighted means of task metrics with their errors."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.objectives_file import FILE, load

from mergesearch.errors import ScoringError
from mergesearch.objectives import ItemResult, MetricValue, Objectives, Rung, TaskResult
from mergesearch.objectives.scores import check_unscored, score


def result(task: str, metric: str, value: float, stderr: float, unscored: int = 0) -> TaskResult:
    items = tuple(ItemResult(task, index, {}, "too long") for index in range(unscored))
    return TaskResult(task, {metric: MetricValue(value, stderr)}, 100 - unscored, unscored, items)


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


def test_too_many_unscored_items_fail_the_trial_with_the_reason() -> None:
    results = {
        "ifeval": result("ifeval", "prompt_level_strict_acc", 0.5, 0.05, unscored=6),
        "pick": result("pick", "acc", 0.8, 0.04),
        "say": result("say", "exact", 0.4, 0.08),
    }
    with pytest.raises(ScoringError, match=r"6 of 100 items could not be scored[\s\S]*too long"):
        load().scores(results)
    five = result("ifeval", "prompt_level_strict_acc", 0.5, 0.05, unscored=5)
    assert load().scores({**results, "ifeval": five})["follow"].n_unscored == 5


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


def test_two_metrics_of_one_task_count_its_items_once() -> None:
    text = "objectives: {o: {tasks: [{task: say, metric: exact}, {task: say, metric: acc}]}}"
    metrics = {"exact": MetricValue(0.5, 0.1), "acc": MetricValue(0.7, 0.2)}
    (score,) = (
        load(text.replace("]}", "], reference: 0}"))
        .scores({"say": TaskResult("say", metrics, 40, 1)})
        .values()
    )
    assert (score.value, score.n, score.n_unscored) == (pytest.approx(0.6), 40, 1)


def test_a_metric_that_is_not_there_is_an_error() -> None:
    results = {"say": result("say", "acc", 0.5, 0.1)}
    with pytest.raises(ScoringError, match=r"say: no metric 'exact'\n  expected: acc"):
        load("objectives: {o: {tasks: [{task: say, metric: exact}]}}").scores(results)


def test_on_the_proxy_rung_an_objective_with_a_proxy_has_its_value() -> None:
    use = "{task: say, metric: exact, chance: 0.5}"
    objectives = load(f"objectives: {{o: {{proxy: likelihood, tasks: [{use}]}}}}")
    metrics = {"proxy": MetricValue(-1.5, 0.1), "exact": MetricValue(0.75, 0.1)}
    results = {"say": TaskResult("say", metrics, 10, 0)}
    assert objectives.scores(results, Rung.PROXY)["o"].value == -1.5
    assert objectives.scores(results)["o"].value == 0.5


def test_the_rung_of_the_proxies_has_metrics_of_objectives_without_one() -> None:
    plain = load("objectives: {o: {tasks: [{task: say, metric: exact}]}}").objectives[0]
    metrics = {"proxy": MetricValue(-1.5, 0.1), "exact": MetricValue(0.75, 0.1)}
    assert score(plain, {"say": TaskResult("say", metrics, 10, 0)}, Rung.PROXY).value == 0.75


def test_the_error_grows_with_the_distance_of_chance_from_one() -> None:
    text = "objectives: {o: {tasks: [{task: say, metric: exact, chance: 0.75}]}}"
    metrics = {"exact": MetricValue(0.5, 0.05)}
    found = score(load(text).objectives[0], {"say": TaskResult("say", metrics, 10, 0)}, Rung.SEARCH)
    assert (found.value, found.stderr) == (pytest.approx(-1.0), pytest.approx(0.2))


def test_the_reason_is_that_of_the_first_item_that_could_not_be_scored() -> None:
    items = (ItemResult("say", 0, {"exact": 1.0}), ItemResult("say", 1, {}, "too long"))
    with pytest.raises(ScoringError) as caught:
        check_unscored(TaskResult("say", {}, 1, 1, items), 0.25)
    assert str(caught.value) == (
        "say: 1 of 2 items could not be scored\n"
        "  expected: at most 25 %; the first reason: too long\n"
        "  to do: look at the items with `search show`; `max_unscored` in the objectives file"
        " raises the limit for a new run"
    )
    check_unscored(TaskResult("say", {}, 3, 1, items), 0.25)


def test_a_task_without_items_is_refused_and_has_no_reason() -> None:
    with pytest.raises(ScoringError, match=r"0 of 0 items .*[\s\S]* first reason: none given"):
        check_unscored(TaskResult("say", {}, 0, 0), 1.0)
