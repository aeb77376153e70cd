"""Scores candidates through lm-eval and llama.cpp, in a process of their own.

Importing this package is cheap; lm_eval and llama_cpp are loaded by what needs them. The settings
below must be in the environment before either is.
"""

from __future__ import annotations

import os
from pathlib import Path

from mergesearch.objectives import Objectives, Rung, TaskResult
from mergesearch.scoring.process import ScoringProcess
from mergesearch.scoring.protocol import OnProgress, Progress
from mergesearch.scoring.rehearsal import Effort, Rehearsal, at_depth

__all__ = [
    "Effort",
    "OnProgress",
    "Progress",
    "Rehearsal",
    "ScoringProcess",
    "at_depth",
    "check_objectives",
    "score_in_process",
]

_ENVIRONMENT = {
    # Threads of OpenMP that wait must sleep, not spin: beside another busy process on the same
    # cores, spinning made llama.cpp's decoding a hundred times slower.
    "OMP_WAIT_POLICY": "passive",
    # Data sets must be on this machine: a scorer that downloads is neither quick nor repeatable.
    # Whoever wants downloads sets these to 0.
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    # lm-eval's bootstrap would start a pool of processes.
    "DISABLE_MULTIPROC": "1",
}
for _name, _value in _ENVIRONMENT.items():
    os.environ.setdefault(_name, _value)


def check_objectives(objectives: Objectives, *, trust_tasks: bool = False) -> None:
    """Find everything that is wrong with an objectives file's tasks before anything runs.

    Raises:
        ObjectivesError: see `harness.load_tasks`.
    """
    from mergesearch.scoring.harness import load_tasks

    load_tasks(objectives, trust_tasks=trust_tasks)


def score_in_process(
    objectives: Objectives, path: Path | str, rung: Rung, on_progress: OnProgress | None = None
) -> dict[str, TaskResult]:
    """Score one GGUF without a child process; see `scorer.Scorer`.

    Raises:
        ObjectivesError: see `check_objectives`.
        ScoringError: the file cannot be loaded or decoded, or its chat template fails.
    """
    from mergesearch.scoring.scorer import Scorer

    return Scorer(objectives).score(path, rung, on_progress)
