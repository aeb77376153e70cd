"""Scores candidates one after the other: loads each, runs its requests, makes its results."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from mergesearch.errors import ScoringError
from mergesearch.objectives import ITEM_RUNGS, Items, Objectives, References, Rung, TaskResult
from mergesearch.scoring.engine import Engine
from mergesearch.scoring.harness.items import Attempt, Item, build_items
from mergesearch.scoring.harness.loading import load_tasks
from mergesearch.scoring.harness.tasks import LoadedTask
from mergesearch.scoring.partial import PartialScores
from mergesearch.scoring.protocol import OnProgress, Progress
from mergesearch.scoring.proxy import check_proxied, needs_answers, proxy_items
from mergesearch.scoring.rehearsal import Effort, Rehearsal, rehearse_part
from mergesearch.scoring.requests import Chunk, Job, Question, make_chunks
from mergesearch.scoring.results import proxy_result, task_result
from mergesearch.scoring.running import run_chunks
from mergesearch.scoring.template import ChatTemplate

_log = logging.getLogger(__name__)
Attempts = dict[str, list[Attempt]]
"""A candidate's attempts at the items of each task."""


class Scorer:
    """Everything that is made once for an objectives file and used for each candidate.

    Attributes:
        tasks: Loaded tasks of the file by name.
        fingerprint: Fingerprint of the file.

    Raises:
        ObjectivesError: See `load_tasks`.
    """

    def __init__(self, objectives: Objectives, *, trust_tasks: bool = False) -> None:
        self._objectives = objectives
        self.fingerprint = objectives.fingerprint()
        loaded = load_tasks(objectives, trust_tasks=trust_tasks)
        self.tasks = {task.name: task for task in loaded}
        self._proxied = set(objectives.proxied_tasks())
        for name in self._proxied:
            check_proxied(self.tasks[name])
        self._references: References = {}
        self._items: dict[tuple[Rung, ChatTemplate | None], dict[str, list[Item]]] = {}
        self._memory_checked = False

    @property
    def order(self) -> dict[Rung, Items]:
        """Items of each rung in their fixed order; the proxy's are those of the search."""
        return {
            rung: {name: task.items(rung) for name, task in self.tasks.items()} for rung in Rung
        }

    @property
    def means(self) -> dict[str, Sequence[str]]:
        """Metrics of each task that are means over its items."""
        return {name: task.means() for name, task in self.tasks.items()}

    def use_references(self, references: References) -> None:
        """Take the specialists' correct answers, which the rung `proxy` needs."""
        self._references = references
        self._items = {key: items for key, items in self._items.items() if key[0] != Rung.PROXY}

    def score(
        self,
        path: Path | str,
        rung: Rung,
        items: Items | None = None,
        *,
        on_progress: OnProgress | None = None,
        partial: PartialScores | None = None,
    ) -> dict[str, TaskResult]:
        """Score a GGUF on a rung's items; results by task name.

        Args:
            path: The GGUF.
            rung: Rung whose items are scored.
            items: Items of the rung to score, in any order; None: all of them.
            on_progress: Told how far each task is.
            partial: Finished chunks, which are not run again; those that finish are added.

        Raises:
            ScoringError: The file cannot be loaded or decoded, or its chat template fails.
            ObjectivesError: The first candidate's KV caches would not fit in memory.
        """
        with Engine(path, self._objectives.runtime) as engine:
            return self.score_engine(engine, rung, items, on_progress=on_progress, partial=partial)

    def score_engine(
        self,
        engine: Engine,
        rung: Rung,
        items: Items | None = None,
        *,
        on_progress: OnProgress | None = None,
        partial: PartialScores | None = None,
    ) -> dict[str, TaskResult]:
        """Score a candidate that is loaded already."""
        if not self._memory_checked:  # later ones are as large, and a study is not to end on them
            whole = self._chunks(engine, self._attempts(engine, rung, None))
            engine.check_memory([chunk.job for chunk in whole])
            self._memory_checked = True
        attempts = self._attempts(engine, rung, items)
        chunks = self._chunks(engine, attempts)

        def report(chunk: Chunk) -> None:
            if on_progress is not None:
                done = sum(attempt.done for attempt in attempts[chunk.task])
                on_progress(Progress(chunk.task, done, len(attempts[chunk.task])))

        run_chunks(engine, chunks, partial, report)
        _report_cuts(attempts)
        return {name: self._result(name, rung, tried) for name, tried in attempts.items()}

    def rehearse(self, path: Path | str, effort: Effort) -> Rehearsal:
        """Measure on a few requests of every task how fast a model is scored.

        Raises:
            ScoringError: As `score`.
        """
        with Engine(path, self._objectives.runtime) as engine:
            jobs: dict[tuple[str, str], dict[Rung, list[Job]]] = {}
            prepare_seconds = {}
            for rung in ITEM_RUNGS:
                attempts = self._attempts(engine, rung, None)
                start = time.perf_counter()
                for chunk in self._chunks(engine, attempts):
                    by_rung = jobs.setdefault((chunk.task, chunk.kind), {Rung.SEARCH: []})
                    by_rung.setdefault(rung, []).append(chunk.job)
                prepare_seconds[rung] = time.perf_counter() - start
            parts = (
                rehearse_part(engine, task, by_rung, effort) for (task, _), by_rung in jobs.items()
            )
            return Rehearsal(engine.load_seconds, prepare_seconds, tuple(parts))

    def _result(self, name: str, rung: Rung, attempts: Sequence[Attempt]) -> TaskResult:
        make = proxy_result if self._has_proxy(name, rung) else task_result
        return make(self.tasks[name], attempts)

    def _has_proxy(self, name: str, rung: Rung) -> bool:
        return rung == Rung.PROXY and name in self._proxied

    def _attempts(self, engine: Engine, rung: Rung, items: Items | None) -> Attempts:
        """New attempts at items; prompts are made anew only for a template not seen before."""
        template = ChatTemplate.of(engine) if self._objectives.apply_chat_template else None
        key = rung, template
        if key not in self._items:
            self._items[key] = {
                name: self._build(task, rung, template) for name, task in self.tasks.items()
            }
        built = self._items[key]
        wanted = built if items is None else self._some(built, rung, items)
        return {name: [Attempt(item) for item in listed] for name, listed in wanted.items()}

    def _some(
        self, built: Mapping[str, list[Item]], rung: Rung, items: Items
    ) -> dict[str, list[Item]]:
        """The wanted ones of a rung's items, in the rung's order; tasks with none are left out."""
        order = self.order[rung]
        for name, numbers in items.items():
            if unknown := set(numbers) - set(order.get(name, ())):
                raise ScoringError(f"item {min(unknown)} is not among the {rung} items", where=name)
        chosen: dict[str, list[Item]] = {}
        for name, listed in built.items():
            wanted = set(items.get(name, ()))
            if some := [item for item in listed if item.number in wanted]:
                chosen[name] = some
        return chosen

    def _build(self, task: LoadedTask, rung: Rung, template: ChatTemplate | None) -> list[Item]:
        """Make a task's items on a rung."""
        items = build_items(task, rung, self._objectives, template)
        if not self._has_proxy(task.name, rung):
            return items
        answers = self._references.get(task.name, {})
        if not answers and needs_answers(task):
            raise ScoringError("no reference texts for its proxy", where=task.name)
        return proxy_items(items, answers)

    def _chunks(self, engine: Engine, attempts: Attempts) -> list[Chunk]:
        chunk_items = self._objectives.runtime.chunk_items
        return [
            chunk
            for name, tried in attempts.items()
            for chunk in make_chunks(name, _questions(tried), engine, chunk_items)
        ]


def _questions(attempts: Iterable[Attempt]) -> list[Question]:
    return [question for attempt in attempts for question in attempt.questions]


def _report_cuts(attempts: Attempts) -> None:
    for name, tried in attempts.items():
        outcomes = [outcome for attempt in tried for outcome in attempt.outcomes]
        cut = sum(outcome.cut > 0 for outcome in outcomes)
        if cut:
            _log.warning(
                "%s: %d of %d prompts were longer than the context and lost their beginning",
                name,
                cut,
                len(outcomes),
            )
