"""A small real run that tests share, and what they read of one."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from helpers.command import search
from helpers.made_once import made_once
from mergesearch._system import resources

TRIALS = 7
OBJECTIVES = """
objectives:
  instruction:
    tasks: [{{task: demo_instruct, metric: prompt_strict, search_items: 12, validate_items: 12}}]
  reasoning:
    reference: 0.1
    tasks:
      - {{task: demo_answer, metric: exact, search_items: 6, validate_items: 6}}
      - {{task: demo_choice, metric: acc, search_items: 6, validate_items: 6}}
task_folder: {folder}
runtime: {{n_ctx: 512, n_parallel: 16, chunk_items: 8, threads: 1}}
"""
"""Scored by one thread: tests run side by side."""


@dataclass(frozen=True)
class Run:
    """A run folder and the arguments that made it."""

    folder: Path
    arguments: tuple[object, ...]

    def again(self, folder: Path, *extra: object) -> tuple[object, ...]:
        """The arguments of the same run in another folder; `extra` ones win."""
        return (*self.arguments, "--out", folder, *extra)


@pytest.fixture(scope="session")
def demo_tasks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's tasks with the first 240 of their thousands of items: many tests load them."""

    def make(folder: Path) -> None:
        shutil.copytree(resources.objectives_folder() / "demo", folder)
        for file in folder.glob("*.jsonl"):
            lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
            file.write_text("".join(lines[:240]), encoding="utf-8")

    return made_once(tmp_path_factory, "demo-tasks", make)


@pytest.fixture(scope="session")
def objectives(demo_tasks: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's objectives with few items."""
    path = tmp_path_factory.mktemp("objectives") / "small.yaml"
    path.write_text(OBJECTIVES.format(folder=demo_tasks))
    return path


@pytest.fixture(scope="session")
def run(objectives: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run of the demo space, made once for all workers and copied."""
    arguments = ("run", "demo", "--objectives", objectives, "--seed", 0, "--trials", TRIALS)

    def make(folder: Path) -> None:
        outcome = search(*arguments, "--out", folder)
        assert outcome.code == 0, outcome

    folder = tmp_path_factory.mktemp("run") / "demo"
    shutil.copytree(made_once(tmp_path_factory, "demo-run", make), folder)
    return Run(folder, arguments)


@pytest.fixture(scope="session")
def swept(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the same run with the line between two parents beside it, by three trials."""

    from helpers.scorer_thread import scorer_in_thread

    def make(folder: Path) -> None:
        shutil.copytree(run.folder, folder)
        with scorer_in_thread():
            outcome = search("sweep", folder, "--trials", 3)
        assert outcome.code == 0, outcome

    folder = tmp_path_factory.mktemp("swept") / "demo"
    shutil.copytree(made_once(tmp_path_factory, "swept-run", make), folder)
    return folder


def trials_of(folder: Path) -> list[dict[str, Any]]:
    """Every trial's parameters, state, digest and scores."""
    from helpers.study_fakes import trials

    return [
        {
            "number": trial.number,
            "state": trial.state,
            "parameters": dict(trial.parameters),
            "digest": trial.candidate_digest,
            "scores": {
                rung: {name: vars(score) for name, score in found.scores.items()}
                for rung, found in trial.rungs.items()
            },
        }
        for trial in trials(folder)
    ]


def front_of(folder: Path) -> dict[str, Any]:
    """What `search front --json` prints."""
    outcome = search("front", folder, "--json")
    assert outcome.code == 0, outcome
    return dict(json.loads(outcome.out))
