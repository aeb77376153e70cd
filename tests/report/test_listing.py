"""Runs in a folder, as literal text and as JSON."""

from __future__ import annotations

from pathlib import Path

from helpers.records import AXES, TRIALS, shown

from mergesearch.report.listing import ListedRun, render_runs
from mergesearch.study.front import Front

RUNS = (
    ListedRun(Path("results/night"), "finished", Front.of(AXES, TRIALS)),
    ListedRun(Path("results/new"), "running", Front.of(AXES, ())),
    ListedRun(Path("results/old"), "unreadable", problem="written by version 0.1.0"),
)


def test_runs_are_a_table() -> None:
    assert shown(render_runs(RUNS), 80) == (
        "run            state             trials  front  best\n"
        "────────────────────────────────────────────────────────────────────────────────\n"
        "results/night  finished    5 (1 failed)      3  instruction 70.8, reasoning 64.2\n"
        "results/new    running                0      0\n"
        "results/old    unreadable                       written by version 0.1.0"
    )


def test_a_run_as_json() -> None:
    assert RUNS[0].to_dict() == {
        "folder": "results/night",
        "state": "finished",
        "problem": None,
        "trials": 5,
        "failed": 1,
        "members": 3,
        "hypervolume": RUNS[0].front.hypervolume,
        "best": {"instruction": 0.7083, "reasoning": 0.6417},
    }
    assert RUNS[2].to_dict()["best"] is None
