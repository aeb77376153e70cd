"""Scores candidates one after the other: loads each, runs its requests, makes its results."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mergesearch.errors import ScoringError
from mergesearch.objectives import (
    ITEM_RUNGS,
    ItemResult,
    MetricValue,
    Objectives,
    References,
    Rung,
    TaskResult,
)
from mergesearch.scoring.aggregate import combine, item_value, named_metrics, standard_error
from mergesearch.scoring.engine import Engine
from mergesearch.scoring.harness import (
    CandidateLM,
    Item,
    LoadedTask,
    Member,
    apply_filters,
    build_items,
    load_tasks,
    process_item,
)
from mergesearch.scoring.partial import PartialScores
from mergesearch.scoring.protocol import OnProgress, Progress
from mergesearch.scoring.proxy import check_proxied, needs_answers, proxy_items, proxy_result
from mergesearch.scoring.rehearsal import Effort, Rehearsal, rehearse_part
from mergesearch.scoring.requests import Job, Outcome, Prepared, copies
from mergesearch.scoring.template import ChatTemplate

_log = logging.getLogger(__name__)
Raw = dict[tuple[str, str], Any]


@dataclass
class _Batch:
    """The requests of one type of one task's items, and where their jobs stand among all jobs."""

    task: LoadedTask
    requests: list[Any]
    prepared: Prepared
    first_job: int


class Scorer:
    """Everything that is made once for an objectives file and used for each candidate.

    Attributes:
        tasks: of the file, loaded.
        fingerprint: of the file.

    Raises:
        ObjectivesError: see `harness.load_tasks`.
    """

    def __init__(self, objectives: Objectives, *, trust_tasks: bool = False) -> None:
        self._objectives = objectives
        self.fingerprint = objectives.fingerprint()
        self.tasks = load_tasks(objectives, trust_tasks=trust_tasks)
        self._memory_checked = False
        self._proxied = set(objectives.proxied_tasks())
        self._references: References = {}
        for task in self.tasks:
            if task.name in self._proxied:
                check_proxied(task)
        self._items: dict[tuple[str, str, str, str], list[list[Item]]] = {}

    def use_references(self, references: References) -> None:
        """Take the specialists' correct answers, which the rung `proxy` needs."""
        self._references = references
        self._items = {key: items for key, items in self._items.items() if key[0] != Rung.PROXY}

    def score(
        self,
        path: Path | str,
        rung: Rung,
        on_progress: OnProgress | None = None,
        partial: PartialScores | None = None,
    ) -> dict[str, TaskResult]:
        """Score a GGUF on a rung's items; results by task name.

        Chunks that `partial` holds are not run again; those that finish are added to it.

        Raises:
            ScoringError: the file cannot be loaded or decoded, or its chat template fails.
            ObjectivesError: the first candidate's KV caches would not fit in memory.
        """
        with Engine(path, self._objectives.runtime) as engine:
            return self.score_engine(engine, rung, on_progress, partial)

    def score_engine(
        self,
        engine: Engine,
        rung: Rung,
        on_progress: OnProgress | None = None,
        partial: PartialScores | None = None,
    ) -> dict[str, TaskResult]:
        """Score a candidate that is loaded already."""
        lm = CandidateLM(engine)
        per_task = self._items_for(lm, rung)
        batches = self._batches(lm, per_task)
        if not self._memory_checked:  # later ones are as large, and a study is not to end on them
            engine.check_memory([job for batch in batches for job in batch.prepared.jobs])
            self._memory_checked = True
        _run(engine, batches, on_progress, partial)
        _report_cuts(batches)
        outcomes = _by_request(batches)
        return {
            task.name: (proxy_result if self._has_proxy(task, rung) else _task_result)(
                task, items, outcomes
            )
            for task, items in zip(self.tasks, per_task, strict=True)
        }

    def rehearse(self, path: Path | str, effort: Effort) -> Rehearsal:
        """Measure on a few requests of every task how fast a model is scored.

        Raises:
            ScoringError: as `score`.
        """
        with Engine(path, self._objectives.runtime) as engine:
            lm = CandidateLM(engine)
            jobs: dict[tuple[str, str], dict[Rung, Sequence[Job]]] = {}
            prepare_seconds = {}
            for rung in ITEM_RUNGS:
                items = self._items_for(lm, rung)
                begun = time.perf_counter()
                for one in self._batches(lm, items):
                    kinds = jobs.setdefault((one.task.name, one.requests[0].request_type), {})
                    kinds[rung] = one.prepared.jobs
                prepare_seconds[rung] = time.perf_counter() - begun
            parts = tuple(
                rehearse_part(engine, task, {Rung.SEARCH: [], **by_rung}, effort)
                for (task, _), by_rung in jobs.items()
            )
            return Rehearsal(engine.load_seconds, prepare_seconds, parts)

    def _has_proxy(self, task: LoadedTask, rung: Rung) -> bool:
        return rung == Rung.PROXY and task.name in self._proxied

    def _items_for(self, lm: CandidateLM, rung: Rung) -> list[list[Item]]:
        """Return the items with their prompts, made anew only for a template not seen before."""
        template = lm.template if self._objectives.apply_chat_template else None
        key = ("", "", "") if template is None else (template.text, template.bos, template.eos)
        if (rung, *key) not in self._items:
            self._items[(rung, *key)] = [self._built(task, rung, template) for task in self.tasks]
        return self._items[(rung, *key)]

    def _built(self, task: LoadedTask, rung: Rung, template: ChatTemplate | None) -> list[Item]:
        """Make a task's items; the proxy's are those of the search."""
        of = Rung.SEARCH if rung == Rung.PROXY else rung
        items = build_items(task, of, self._objectives, template)
        if not self._has_proxy(task, rung):
            return items
        answers = self._references.get(task.name, {})
        if not answers and needs_answers(task):
            raise ScoringError("no reference texts for its proxy", where=task.name)
        return proxy_items(items, answers)

    def _batches(self, lm: CandidateLM, per_task: Sequence[Sequence[Item]]) -> list[_Batch]:
        batches: list[_Batch] = []
        jobs = 0
        for task, items in zip(self.tasks, per_task, strict=True):
            requests = [one for item in items for one in item.requests for _ in range(copies(one))]
            for kind in dict.fromkeys(one.request_type for one in requests):
                of_kind = [one for one in requests if one.request_type == kind]
                batches.append(_Batch(task, of_kind, lm.prepare(of_kind), jobs))
                jobs += len(batches[-1].prepared.jobs)
        return batches


def _run(
    engine: Engine,
    batches: Sequence[_Batch],
    on_progress: OnProgress | None,
    partial: PartialScores | None,
) -> None:
    """Run the chunks of all tasks side by side, the heaviest first."""
    jobs = [job for batch in batches for job in batch.prepared.jobs]
    owner = [batch for batch in batches for _ in batch.prepared.jobs]
    stored = {} if partial is None else {at: partial.read(job) for at, job in enumerate(jobs)}
    left = [at for at in range(len(jobs)) if stored.get(at) is None]
    order = sorted(left, key=lambda at: (-jobs[at].weight, at))
    done = {batch.task.name: 0 for batch in batches}
    total = {batch.task.name: 0 for batch in batches}
    for batch in batches:
        total[batch.task.name] += len(batch.requests)

    def take(index: int, results: list[Any], seconds: float) -> None:
        batch = owner[index]
        local = index - batch.first_job
        batch.prepared.take(local, results, seconds)
        name = batch.task.name
        done[name] += len(batch.prepared.members[local])
        if on_progress is not None:
            on_progress(Progress(name, done[name], total[name]))

    def finish(at: int, results: list[Any], seconds: float) -> None:
        if partial is not None:
            partial.write(jobs[order[at]], results, seconds)
        take(order[at], results, seconds)

    for index, found in stored.items():
        if found is not None:
            take(index, *found)
    engine.run([jobs[index] for index in order], finish)


def _by_request(batches: Sequence[_Batch]) -> dict[int, Outcome]:
    """The outcome of every request by its id; further answers to it are the outcome's copies."""
    outcomes: dict[int, Outcome] = {}
    for batch in batches:
        for request, outcome in zip(batch.requests, batch.prepared.outcomes, strict=True):
            if id(request) in outcomes:
                outcomes[id(request)].copies.append(outcome)
            else:
                outcomes[id(request)] = outcome
    return outcomes


def _report_cuts(batches: Sequence[_Batch]) -> None:
    for batch in batches:
        cut = sum(one.cut > 0 for one in batch.prepared.outcomes)
        if cut:
            _log.warning(
                "%s: %d of %d prompts were longer than the context and lost their beginning",
                batch.task.name,
                cut,
                len(batch.requests),
            )


def _task_result(
    task: LoadedTask, items: Sequence[Item], outcomes: dict[int, Outcome]
) -> TaskResult:
    results: list[ItemResult] = []
    per_member: list[tuple[dict[str, MetricValue], int]] = []
    for member in task.members:
        own = [item for item in items if item.member is member]
        raw = _process(member, own, outcomes)
        results += [
            _item_result(task, item, found, outcomes) for item, found in zip(own, raw, strict=True)
        ]
        scored = [one for one in raw if one is not None]
        per_member.append((_metrics(task, member, scored), len(scored)))
    n = sum(one for _, one in per_member)
    return TaskResult(task.name, _group(task, per_member), n, len(results) - n, tuple(results))


def _process(
    member: Member, items: Sequence[Item], outcomes: dict[int, Outcome]
) -> list[Raw | None]:
    """Return each item's raw metrics, None where it is unscored; reasons go to the items."""
    for item in items:
        found = [outcomes[id(one)] for one in item.requests]
        item.failure = next((one.failure for one in found if one.failure is not None), None)
        for request, outcome in zip(item.requests, found, strict=True):
            values = [one.value for one in outcome.all()]
            if request.request_type == "loglikelihood_rolling" and values[0] is not None:
                values = [values[0][0]]
            same = (request.repeats or 1) if len(values) == 1 else 1
            request.resps = values * same
    apply_filters(member, [item for item in items if item.failure is None])
    return [_process_one(item) for item in items]


def _process_one(item: Item) -> Raw | None:
    if item.failure is not None:
        return None
    try:
        return process_item(item)
    except Exception as error:  # a checker may raise anything
        item.failure = f"process_results: {type(error).__name__}: {error}"
        return None


def _item_result(
    task: LoadedTask, item: Item, raw: Raw | None, outcomes: dict[int, Outcome]
) -> ItemResult:
    asked = [outcomes[id(one)] for one in item.requests]
    found = [one for first in asked for one in first.all()]
    values = {key: item_value(value) for key, value in (raw or {}).items()}
    numbers = {key: value for key, value in values.items() if value is not None}
    text = found[0].value if item.requests[0].request_type == "generate_until" else None
    return ItemResult(
        task=task.name,
        item=item.member.offset + item.index,
        metrics=named_metrics(numbers, len(item.member.filters), task.used),
        unscored=item.failure,
        tokens_in=sum(one.tokens_in for one in found),
        tokens_out=sum(one.tokens_out for one in found),
        cut=sum(one.cut for one in found),
        seconds=sum(one.seconds for one in found),
        text=text,
    )


def _metrics(task: LoadedTask, member: Member, scored: Sequence[Raw]) -> dict[str, MetricValue]:
    """Return the metrics of a member's items; one that fails is left out if nothing uses it."""
    metrics: dict[str, MetricValue] = {}
    for key in dict.fromkeys(key for one in scored for key in one):
        values = [one[key] for one in scored if key in one]
        names = named_metrics({key: None}, len(member.filters), task.used)
        aggregate, error = member.aggregation(key[0])
        try:
            value = float(aggregate(values))
            measured = MetricValue(value, standard_error(values, aggregate, error))
        except Exception as problem:
            if task.used.isdisjoint(names):
                continue
            raise ScoringError(
                f"metric {key[0]!r} cannot be computed ({type(problem).__name__}: {problem})",
                where=str(member.task.config.task),
            ) from problem
        metrics.update(dict.fromkeys(names, measured))
    return metrics


def _group(
    task: LoadedTask, per_member: Sequence[tuple[dict[str, MetricValue], int]]
) -> dict[str, MetricValue]:
    if len(per_member) == 1:
        return per_member[0][0]
    names = dict.fromkeys(name for metrics, _ in per_member for name in metrics)
    return {
        name: combine(
            [(metrics[name], n) for metrics, n in per_member if name in metrics],
            by_size=task.by_size,
        )
        for name in names
    }
