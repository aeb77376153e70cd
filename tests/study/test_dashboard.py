"""A run in Optuna's dashboard: its pages are loaded."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from helpers.study_fakes import files, run_in, search

from mergesearch.study.dashboard import dashboard_of
from mergesearch.study.settings import StudySettings

pytestmark = pytest.mark.whole


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Any:
    pytest.importorskip("optuna_dashboard")
    folder = tmp_path_factory.mktemp("runs") / "night"
    folder.mkdir()
    run_in(folder, search(), StudySettings(trials=4, sampler="random"))
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
    attributes = {entry["key"] for entry in trial["user_attrs"]}
    assert {"digest", "recipe", "shares", "words", "standard_errors"} <= attributes
    assert "demo:reason.weight" in {entry["name"] for entry in trial["params"]}
