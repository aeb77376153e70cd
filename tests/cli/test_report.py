"""`search report`: where the page goes; what is in it is tested with the page."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from helpers.command import search

from mergesearch.cli import report

PAGE = "<!doctype html>\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder of a run whose page is made at once."""
    run = SimpleNamespace(folder=SimpleNamespace(report=tmp_path / "run" / "report.html"))
    monkeypatch.setattr(report, "Run", lambda folder: run)
    monkeypatch.setattr(report, "against_sweep", lambda run: None)
    monkeypatch.setattr(report, "report_page", lambda run, **options: PAGE)
    (tmp_path / "run").mkdir()
    return tmp_path / "run"


def test_a_file_of_another_name_is_replaced_on_demand_only(folder: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    assert search("report", folder, "-o", page).code == 0
    assert page.read_text() == PAGE
    page.write_text("mine")
    refused = search("report", folder, "-o", page)
    assert refused.code == 2
    assert refused.err == (
        f"error: {page}: exists already\n  to do: name another file, or replace it: --force\n"
    )
    assert page.read_text() == "mine"
    assert search("report", folder, "-o", page, "--force").code == 0
    assert page.read_text() == PAGE


def test_the_run_s_own_page_is_written_anew_each_time(folder: Path) -> None:
    (folder / "report.html").write_text("of an hour ago")
    outcome = search("report", folder)
    assert (outcome.code, outcome.out) == (0, f"{folder / 'report.html'}\n")
    assert (folder / "report.html").read_text() == PAGE


def test_standard_output_and_folders(folder: Path, tmp_path: Path) -> None:
    outcome = search("report", folder, "-o", "-")
    assert (outcome.code, outcome.out) == (0, PAGE)
    for force in ((), ("--force",)):
        outcome = search("report", folder, "-o", tmp_path, *force)
        assert (outcome.code, f"{tmp_path}: is a folder" in outcome.err) == (2, True)
