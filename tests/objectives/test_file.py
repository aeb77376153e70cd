"""An objectives file is written back as it was read; its fingerprint is what scores depend on."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from helpers.objectives_file import FILE, load

from mergesearch._system.resources import objectives_folder
from mergesearch.objectives import Objectives, Thinking


def test_yaml_round_trip() -> None:
    objectives = load()
    assert Objectives.from_yaml(objectives.to_yaml(), Path()) == objectives
    assert objectives.objectives[0].reference == 0.0
    assert objectives.objectives[1].reference == 0.25
    assert objectives.runtime.n_parallel == 8
    assert [use.task for use in objectives.tasks()] == ["ifeval", "pick", "say"]


def test_the_day_and_thoughts_are_part_of_the_file_and_of_its_fingerprint() -> None:
    assert load().date == date(2024, 7, 26)
    other = load(FILE + "date: 2026-01-31\n")
    assert other.date == date(2026, 1, 31)
    thinking = load(FILE + "thinking: {budget: 256, enable: false}\n")
    assert thinking.thinking == Thinking(256, "<think>", "</think>", enable=False)
    files = [load(), other, thinking]
    assert len({file.fingerprint() for file in files}) == 3
    assert [Objectives.from_yaml(file.to_yaml(), Path()) for file in files] == files


@pytest.mark.parametrize(
    "path", sorted(objectives_folder().glob("*.yaml")), ids=lambda path: path.stem
)
def test_bundled_files_are_read_and_written_back(path: Path) -> None:
    objectives = Objectives.from_yaml(path.read_text(), path.parent)
    assert Objectives.from_yaml(objectives.to_yaml(), Path()) == objectives


def test_the_first_rung_is_the_proxy_where_there_is_one() -> None:
    objectives = load()
    assert (objectives.first_rung, objectives.proxied_tasks()) == ("search", ())
    proxied = load(FILE.replace("reference: 0.25", "reference: 0.25\n    proxy: likelihood"))
    assert (proxied.first_rung, proxied.proxied_tasks()) == ("proxy", ("pick", "say"))
    assert proxied.fingerprint() != objectives.fingerprint()


def test_the_fingerprint_follows_the_version_of_scoring(monkeypatch: pytest.MonkeyPatch) -> None:
    before = load().fingerprint()
    monkeypatch.setattr("mergesearch.objectives.file.SCORING_VERSION", 1)
    assert load().fingerprint() != before


def test_the_fingerprint_follows_what_scores_depend_on(tmp_path: Path) -> None:
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "a.jsonl").write_text("{}\n")
    text = FILE + "task_folder: tasks\n"
    first = load(text, tmp_path).fingerprint()
    threads = text.replace("n_parallel: 8", "n_parallel: 8, threads: 1")
    assert load(threads, tmp_path).fingerprint() == first
    assert load(text.replace("n_parallel: 8", "n_parallel: 4"), tmp_path).fingerprint() != first
    (tmp_path / "tasks" / "__pycache__").mkdir()
    (tmp_path / "tasks" / "__pycache__" / "a.pyc").write_bytes(b"compiled")
    assert load(text + "keep_texts: false\n", tmp_path).fingerprint() == first
    (tmp_path / "tasks" / "a.jsonl").write_text("{ }\n")
    assert load(text, tmp_path).fingerprint() != first
