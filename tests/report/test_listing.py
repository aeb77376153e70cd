"""Runs in a folder, as literal text and as JSON."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from helpers.records import AXES, TRIALS

from mergesearch.report.listing import ListedRun
from mergesearch.study.front import Front

RUNS = (
    ListedRun(Path("results/night"), "finished", Front.of(AXES, TRIALS)),
    ListedRun(Path("results/new"), "running", Front.of(AXES, ())),
    ListedRun(Path("results/old"), "unreadable", problem="written by version 0.1.0"),
)


def test_runs_in_words() -> None:
    assert [run.in_words() for run in RUNS] == [
        "finished, 5 trials (1 failed), 3 on the front; best instruction 70.8, reasoning 64.2"
        " (search)",
        "running, 0 trials, 0 on the front",
        "unreadable: written by version 0.1.0",
    ]


def test_once_a_front_is_confirmed_so_is_the_best() -> None:
    front = RUNS[0].front
    run = replace(RUNS[0], front=replace(front, search=front))
    assert run.in_words().endswith("best instruction 70.8, reasoning 64.2 (confirmed)")
    assert run.to_dict()["confirmed"] is True


def test_a_run_as_json() -> None:
    assert RUNS[0].to_dict() == {
        "folder": "results/night",
        "state": "finished",
        "problem": None,
        "trials": 5,
        "failed": 1,
        "members": 3,
        "hypervolume": RUNS[0].front.hypervolume,
        "confirmed": False,
        "best": {"instruction": 0.7083, "reasoning": 0.6417},
    }
    assert RUNS[2].to_dict()["best"] is None
