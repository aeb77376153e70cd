"""A search without a model: a real space and real objectives, a pretended build and scorer.

Run as a script it is a whole run in a process of its own, to be killed: `FOLDER SAMPLER TRIALS`,
then optionally the trial and the stage (`building`, `scoring`, `untold`) at which it kills itself,
the seed, and `ahead` for a run whose next candidates are built meanwhile.
"""

import functools
import hashlib
import itertools
import math
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import alembic.util
import optuna

from mergesearch.objectives import ItemResult, MetricValue, Objectives, TaskResult
from mergesearch.recipe import Recipe
from mergesearch.space import Space
from mergesearch.study.database import sqlite_url
from mergesearch.study.events import Event
from mergesearch.study.front import Front
from mergesearch.study.loop import run_study
from mergesearch.study.reading import RunRecords
from mergesearch.study.records import TrialRecord
from mergesearch.study.settings import Search, StudyFiles, StudySettings
from mergesearch.study.trials import Trials

# Optuna marks a new database with the newest version of its tables, for which it runs every file of
# their history: once will do.
alembic.util.load_python_file = functools.cache(alembic.util.load_python_file)

SPACE = """
merge_method: {search: [linear, task_arithmetic]}
base_model: demo:base
models:
  - {model: demo:instruct, parameters: {weight: {search: [0, 1.5], curve: 2}}}
  - {model: demo:reason, parameters: {weight: {search: [0, 1.5]}}}
start_from: [parents, {ratio: {demo:instruct: 3, demo:reason: 1}}]
"""
OBJECTIVES = """
objectives:
  instruction: {reference: 0.0, tasks: [{task: words, metric: exact_match}]}
  reasoning: {reference: 0.25, tasks: [{task: holders, metric: acc}]}
"""
TRIALS = 6
ON_GPU = OBJECTIVES + "runtime: {n_gpu_layers: 99}\n"


@dataclass
class FakeCandidate:
    """A candidate whose digest is its recipe's."""

    recipe: Recipe
    digest: str
    size: int = 1000
    closed: bool = False

    def __enter__(self) -> "FakeCandidate":
        return self

    def __exit__(self, *error: object) -> None:
        self.closed = True


@dataclass
class Bench:
    """Counts what is built and scored, and fails where it is told to."""

    built: list[Recipe] = field(default_factory=list)
    scored: list[tuple[str, str]] = field(default_factory=list)
    candidates: list[FakeCandidate] = field(default_factory=list)
    before_build: Callable[[int], None] = lambda count: None
    before_score: Callable[[int], None] = lambda count: None
    digest_of: Callable[[Recipe], str] = lambda recipe: recipe.digest()
    unscored: int = 0
    builds: Iterator[int] = field(default_factory=itertools.count)
    scorings: Iterator[int] = field(default_factory=itertools.count)

    def build(self, recipe: Recipe, stop: threading.Event) -> FakeCandidate:
        self.before_build(next(self.builds))
        self.built.append(recipe)
        self.candidates.append(FakeCandidate(recipe, self.digest_of(recipe)))
        return self.candidates[-1]

    def score(
        self,
        candidate: FakeCandidate,
        rung: str,
        on_progress: Callable[[Any], None],
        items: Any = None,
    ) -> dict[str, TaskResult]:
        self.before_score(next(self.scorings))
        self.scored.append((rung, candidate.digest))
        on_progress(SimpleNamespace(task="words", done=1, total=2))
        values = trade_off(candidate.recipe)
        return {
            task: self._result(task, metric, value - (0.01 if rung == "validate" else 0.0))
            for (task, metric), value in zip(
                [("words", "exact_match"), ("holders", "acc")], values, strict=True
            )
        }

    def _result(self, task: str, metric: str, value: float) -> TaskResult:
        items = (
            ItemResult(task, 4, {metric: 1.0}, None, 10, 2, 0.1, f"answer to {task}"),
            ItemResult(task, 9, {}, "too long") if self.unscored else ItemResult(task, 9, {}),
        )
        return TaskResult(task, {metric: MetricValue(value, 0.04)}, 100, self.unscored, items)


def trade_off(recipe: Recipe) -> tuple[float, float]:
    """Two peaks over the weights, with a jitter that depends on the recipe alone."""
    weights = []
    for source in recipe.last.inputs:
        value = source.parameters["weight"]
        weights += list(value) if isinstance(value, tuple) else [value] * 2
    jitter = int(hashlib.sha256(recipe.digest().encode()).hexdigest()[:6], 16) / 2**24
    first = sum((w - t) ** 2 for w, t in zip(weights, (1.0, 0.8, 0.2, 0.2), strict=True))
    second = sum((w - t) ** 2 for w, t in zip(weights, (0.3, 0.2, 1.0, 1.0), strict=True))
    return 0.8 * math.exp(-first) + 0.02 * jitter, 0.9 * math.exp(-second) - 0.02 * jitter


def search(bench: Bench | None = None, **changes: Any) -> Search:
    """The search that the tests run."""
    bench = bench or Bench()
    parts: dict[str, Any] = {
        "space": Space.from_yaml(SPACE),
        "objectives": Objectives.from_yaml(OBJECTIVES, Path()),
        "build": bench.build,
        "score": bench.score,
        "shares": lambda recipe: recipe.shares(6),
        "space_text": SPACE,
    }
    return Search(**(parts | changes))


def search_on_gpu(bench: Bench | None = None, **changes: Any) -> Search:
    """The same search where a GPU scores, by its settings, and there is room for two candidates."""
    objectives = Objectives.from_yaml(ON_GPU, Path())
    return search(bench, **({"objectives": objectives, "build_ahead": True} | changes))


def files(folder: Path) -> StudyFiles:
    """Where a run in this folder keeps what its study writes."""
    return StudyFiles(
        database=sqlite_url(folder / "study.db"),
        name=folder.name,
        front=folder / "front.json",
        lock=folder / ".lock",
    )


def run_in(
    folder: Path,
    searched: Search,
    settings: StudySettings,
    observe: Callable[[Event], None] = lambda event: None,
) -> Front:
    """Run a search in a folder."""
    return run_study(files(folder), searched, settings, observe)


def run_briefly(folder: Path, bench: Bench | None = None, **settings: Any) -> dict[str, Any]:
    """Run a search by Sobol points, of six trials if nothing else is said."""
    settings = {"sampler": "sobol", "trials": TRIALS} | settings
    return run_in(folder, search(bench), StudySettings(**settings)).to_dict()


def raise_at(number: int, error: BaseException) -> Callable[[int], None]:
    """A hook of `Bench` that raises an error when it is called for the nth time."""

    def check(count: int) -> None:
        if count == number:
            raise error

    return check


def records(folder: Path) -> RunRecords:
    """The records of the run in a folder, to be closed."""
    return RunRecords.open(files(folder).database)


def trials(folder: Path) -> tuple[TrialRecord, ...]:
    """The trials of a run folder."""
    with records(folder) as opened:
        return opened.trials()


def study_of(folder: Path) -> optuna.Study:
    """The study as Optuna and its dashboard open it."""
    storage = optuna.storages.RDBStorage(files(folder).database)
    return optuna.load_study(study_name=None, storage=storage)


def told(folder: Path) -> list[tuple[Any, ...]]:
    """Everything in the study and the ledger that has to be equal between equal runs."""
    return [
        (trial.number, trial.params, trial.values, record.scores(), record.candidate_digest)
        for trial, record in zip(study_of(folder).trials, trials(folder), strict=True)
    ]


def main(
    folder: str,
    sampler: str,
    trials: str,
    at: str = "",
    stage: str = "",
    seed: str = "0",
    ahead: str = "",
) -> None:
    """Run in this process; kill it with SIGKILL at trial `at`, in `stage`."""

    def die(wanted: str) -> Callable[[int], None]:
        def check(count: int) -> None:
            if stage == wanted and count == int(at):
                os.kill(os.getpid(), signal.SIGKILL)

        return check

    bench = Bench(before_build=die("building"), before_score=die("scoring"))
    if stage == "untold":
        tell = Trials.tell

        def tell_or_die(trials: Trials, number: int, *rest: Any, **attributes: Any) -> None:
            die("untold")(number)
            tell(trials, number, *rest, **attributes)

        Trials.tell = tell_or_die  # type: ignore[method-assign]
    settings = StudySettings(trials=int(trials), sampler=sampler, seed=int(seed))
    searched = search_on_gpu(bench) if ahead else search(bench)
    run_in(Path(folder), searched, settings)


if __name__ == "__main__":
    main(*sys.argv[1:])
