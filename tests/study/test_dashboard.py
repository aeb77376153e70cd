"""A run in Optuna's dashboard: its pages are loaded."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from helpers.study_fakes import Bench, files, run_in, search

from mergesearch.errors import BuildError
from mergesearch.space import Space
from mergesearch.study.dashboard import dashboard_of
from mergesearch.study.settings import StudySettings

pytestmark = pytest.mark.whole
SPACE = """
merge_method: {search: [task_arithmetic, ties]}
base_model: demo:base
models:
  - model: demo:instruct
    parameters: {weight: {search: [0, 1.5], curve: 2}, density: {search: [0.3, 1]}}
  - {model: demo:reason, parameters: {weight: {search: [0, 1.5]}}}
start_from: [parents, {ratio: {demo:instruct: 3, demo:reason: 1}}]
"""


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Any:
    pytest.importorskip("optuna_dashboard")
    folder = tmp_path_factory.mktemp("runs") / "night"
    folder.mkdir()

    def fail_at_three(count: int) -> None:
        if count == 3:
            raise BuildError("it cannot be built")

    bench = Bench(before_build=fail_at_three)
    space = Space.from_yaml(SPACE)
    searched = search(bench, space=space, space_text=SPACE, words=lambda recipe: recipe.in_words(6))
    run_in(folder, searched, StudySettings(trials=6, sampler="random"))
    return dashboard_of(files(folder).database)


def load(application: Any, path: str) -> tuple[str, bytes]:
    """Status and body of a page."""
    found: list[str] = []
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": io.StringIO(),
        "wsgi.url_scheme": "http",
    }
    body = b"".join(application(environ, lambda status, headers, *rest: found.append(status)))
    return found[0], body


def test_the_pages_load(application: Any) -> None:
    status, body = load(application, "/dashboard")
    assert status.startswith("200")
    assert b"<html" in body


def test_the_study_is_named_after_its_run_and_its_objectives_have_names(application: Any) -> None:
    _, body = load(application, "/api/studies")
    (study,) = json.loads(body)["study_summaries"]
    assert study["study_name"] == "night"
    _, body = load(application, f"/api/studies/{study['study_id']}")
    found = json.loads(body)
    assert found["objective_names"] == ["instruction", "reasoning"]
    trial = found["trials"][0]
    assert {"digest", "recipe", "shares", "standard_errors"} <= set(attributes(trial))
    assert "demo:reason.weight" in {entry["name"] for entry in trial["params"]}


def test_trials_show_their_ratio_what_was_confirmed_and_why_they_failed(
    application: Any,
) -> None:
    _, body = load(application, "/api/studies")
    study = json.loads(body)["study_summaries"][0]["study_id"]
    found = json.loads(load(application, f"/api/studies/{study}")[1])
    trials = [attributes(trial) for trial in found["trials"]]
    assert trials[0]["in words"].startswith("instruct alone")
    assert trials[3]["failure"] == "it cannot be built"
    confirmed = [trial for trial in trials if "confirmed instruction" in trial]
    assert 1 <= len(confirmed) < len(trials)
    for trial in confirmed:
        low, high = map(float, trial["confirmed instruction, 95 %"].split(" to "))
        assert low <= float(trial["confirmed instruction"]) <= high
        assert trial["on the front"].endswith("%")
    sortable = {entry["key"]: entry["sortable"] for entry in found["union_user_attrs"]}
    assert sortable["confirmed reasoning"]


def test_parameters_of_a_method_that_was_not_chosen_are_absent(application: Any) -> None:
    _, body = load(application, "/api/studies")
    study = json.loads(body)["study_summaries"][0]["study_id"]
    found = json.loads(load(application, f"/api/studies/{study}")[1])
    shown = [{entry["name"]: entry for entry in trial["params"]} for trial in found["trials"]]
    methods = [entry["merge_method"]["param_external_value"] for entry in shown]
    assert {"task_arithmetic", "ties"} == set(methods)
    for parameters, method in zip(shown, methods, strict=True):
        assert ("demo:instruct.density" in parameters) == (method == "ties")
        assert "demo:instruct.weight[1]" in parameters


def attributes(trial: dict[str, Any]) -> dict[str, str]:
    return {entry["key"]: entry["value"] for entry in trial["user_attrs"]}
