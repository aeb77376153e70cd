"""Scores candidates one after the other: runs the requests of each, and makes its results."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

from mergesearch.objectives import ITEM_RUNGS, Items, Objectives, Rung, TaskResult, Thinking
from mergesearch.scoring.chunks import Job
from mergesearch.scoring.engine import Engine
from mergesearch.scoring.partial import PartialScores
from mergesearch.scoring.protocol import OnProgress, Progress
from mergesearch.scoring.questionnaire import Attempts, Questionnaire, misfits
from mergesearch.scoring.rehearsal import Rehearsal, measure_pace
from mergesearch.scoring.requests import Chunk, make_chunks, opens_thought
from mergesearch.scoring.template import ChatTemplate

_log = logging.getLogger(__name__)
_USUAL_THOUGHT = Thinking(budget=0)


class Scorer:
    """Everything that is made once for an objectives file and used for each candidate.

    Attributes:
        questionnaire: Items of the file's tasks.
        fingerprint: Fingerprint of the file.

    Raises:
        ObjectivesError: See `Questionnaire`.
    """

    def __init__(self, objectives: Objectives, *, trust_tasks: bool = False) -> None:
        self._objectives = objectives
        self.fingerprint = objectives.fingerprint()
        self.questionnaire = Questionnaire(objectives, trust_tasks=trust_tasks)
        self._memory_checked = False

    def score(
        self,
        engine: Engine,
        rung: Rung,
        items: Items | None = None,
        *,
        on_progress: OnProgress | None = None,
        partial: PartialScores | None = None,
    ) -> dict[str, TaskResult]:
        """Score a candidate on a rung's items; results by task name.

        Args:
            items: Items of the rung to score, in any order; None: all of them.
            on_progress: Function that is told how far each task is.
            partial: Finished chunks, which are not run again; those that finish are added.

        Raises:
            ScoringError: The candidate cannot be decoded, or its chat template fails.
            ObjectivesError: The first candidate's KV caches would not fit in memory.
        """
        template = self._template(engine)
        if not self._memory_checked:  # later ones are as large, and a study is not to end on them
            whole = self._chunks(engine, self.questionnaire.attempts(template, rung, None))
            engine.check_memory([chunk.job for chunk in whole])
            self._memory_checked = True
        attempts = self.questionnaire.attempts(template, rung, items)
        chunks = self._chunks(engine, attempts)
        for note in misfits(attempts):
            _log.warning("%s", note)

        def report(chunk: Chunk) -> None:
            if on_progress is not None:
                done = sum(attempt.done for attempt in attempts[chunk.task])
                on_progress(Progress(chunk.task, done, len(attempts[chunk.task])))

        run_chunks(engine, chunks, partial, report)
        return self.questionnaire.results(rung, attempts)

    def rehearse(self, engine: Engine, *, to_the_end: bool) -> Rehearsal:
        """Measure on a few requests of every task how fast a model is scored, and what fits.

        Args:
            to_the_end: Whether its answers mean anything, so that their length is worth knowing.

        Raises:
            ScoringError: As `score`.
        """
        template = self._template(engine)
        jobs: dict[tuple[str, str], dict[Rung, list[Job]]] = {}
        prepare_seconds: dict[Rung, float] = {}
        notes = self._thought_notes(template)
        for rung in ITEM_RUNGS:
            attempts = self.questionnaire.attempts(template, rung, None)
            start = time.perf_counter()
            for chunk in self._chunks(engine, attempts):
                by_rung = jobs.setdefault((chunk.task, chunk.kind), {Rung.SEARCH: []})
                by_rung.setdefault(rung, []).append(chunk.job)
            prepare_seconds[rung] = time.perf_counter() - start
            notes += [f"{note} ({rung})" for note in misfits(attempts)]
        paces = tuple(
            measure_pace(engine, task, by_rung, to_the_end=to_the_end)
            for (task, _), by_rung in jobs.items()
        )
        return Rehearsal(engine.load_seconds, prepare_seconds, paces, tuple(notes))

    def _template(self, engine: Engine) -> ChatTemplate | None:
        if not self._objectives.apply_chat_template:
            return None
        return ChatTemplate.of(engine, self._objectives)

    def _thought_notes(self, template: ChatTemplate | None) -> list[str]:
        """What to know of a template that opens a thought which nothing would close."""
        if template is None or self._objectives.thinking is not None:
            return []
        prompt = template.render([{"role": "user", "content": "Hello"}])
        if not opens_thought(prompt, _USUAL_THOUGHT):
            return []
        return [
            f"the chat template begins each answer with {_USUAL_THOUGHT.start}, and the objectives "
            "file has no `thinking`: thoughts count as answers"
        ]

    def _chunks(self, engine: Engine, attempts: Attempts) -> list[Chunk]:
        chunk_items, thinking = self._objectives.runtime.chunk_items, self._objectives.thinking
        chunks: list[Chunk] = []
        for name, tried in attempts.items():
            questions = [question for attempt in tried for question in attempt.questions]
            chunks += make_chunks(name, questions, engine, chunk_items, thinking)
        return chunks


def run_chunks(
    engine: Engine,
    chunks: Sequence[Chunk],
    partial: PartialScores | None,
    on_done: Callable[[Chunk], None],
) -> None:
    """Run chunks and enter their results.

    Args:
        partial: Finished chunks of the candidate, which are not run again; those that finish are
            added to it.
        on_done: Function that is told each chunk once its results are entered.
    """
    left: list[Chunk] = []
    for chunk in chunks:
        stored = None if partial is None else partial.read(chunk.job)
        if stored is None:
            left.append(chunk)
        else:
            chunk.take(*stored)
            on_done(chunk)
    left.sort(key=lambda chunk: -chunk.job.weight)

    def finish(index: int, results: list[Any], seconds: float) -> None:
        chunk = left[index]
        if partial is not None:
            partial.write(chunk.job, results, seconds)
        chunk.take(results, seconds)
        on_done(chunk)

    engine.run([chunk.job for chunk in left], finish)
