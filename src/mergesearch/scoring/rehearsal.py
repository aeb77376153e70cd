"""What scoring takes: a few requests of every task run on a small or shortened model, and what
follows for all items and for a whole model.

The time of a chunk is nearly linear in the tokens that are read and in those that are written, and
both speeds are nearly linear in the number of layers. Shortened models rarely end their answers, so
that of a whole model's answers only the longest possible length is known then.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mergesearch.objectives import Rung
from mergesearch.scoring.chunks import Job

if TYPE_CHECKING:
    from mergesearch.scoring.engine import Engine

SAMPLE_SECONDS = 2.0
"""Seconds that reading a sample of a task's requests may take."""
_NEW_TOKENS = 16  # enough to tell what one more token of every answer takes
_TO_THE_END = 4.0  # times the seconds of reading that finishing the answers may take


@dataclass(frozen=True)
class Pace:
    """How fast a model takes the requests of one type of a task.

    Attributes:
        task: Name of the task.
        generates: Whether the requests are answered in words.
        read: Number of tokens of the prompts and choices, by rung.
        written: Number of tokens that the answers may have at most, by rung.
        read_seconds: Seconds for one token that is read.
        write_seconds: Seconds for one token of an answer.
        share: Share of the most tokens that answers took; None where they were not let run to
            their end.
    """

    task: str
    generates: bool
    read: Mapping[Rung, int]
    written: Mapping[Rung, int]
    read_seconds: float
    write_seconds: float = 0.0
    share: float | None = None

    def seconds(self, rung: Rung, proxied: bool) -> float:
        """Return how long the requests take on a rung.

        Args:
            proxied: Whether the task has a proxy, whose rung reads answers instead of writing them.
        """
        items = Rung.SEARCH if rung == Rung.PROXY else rung
        read, written = self.read.get(items, 0), self.written.get(items, 0)
        answers = written * (1.0 if self.share is None else self.share)
        write_seconds = self.read_seconds if proxied and rung == Rung.PROXY else self.write_seconds
        return read * self.read_seconds + answers * write_seconds


@dataclass(frozen=True)
class Rehearsal:
    """How fast one model is scored.

    Attributes:
        load_seconds: Seconds that llama.cpp took to load the model.
        prepare_seconds: Seconds that making tokens of all requests takes, by rung.
        paces: Pace of each task and type of request.
        notes: What does not fit or work as it may be meant, a sentence each.
    """

    load_seconds: float
    prepare_seconds: Mapping[Rung, float]
    paces: tuple[Pace, ...]
    notes: tuple[str, ...] = ()

    def seconds(self, rung: Rung, proxied: Sequence[str] = ()) -> float:
        """Return how long one candidate takes on a rung, loading included.

        Args:
            proxied: Tasks that have a proxy.
        """
        scoring = sum(pace.seconds(rung, pace.task in proxied) for pace in self.paces)
        prepare = self.prepare_seconds[Rung.SEARCH if rung == Rung.PROXY else rung]
        return self.load_seconds + prepare + scoring

    @property
    def at_most(self) -> bool:
        """Whether answers are counted with the longest length that their tasks allow."""
        return any(pace.generates and pace.share is None for pace in self.paces)


def at_depth(measured: Mapping[int, Rehearsal], n_layers: int) -> Rehearsal:
    """Return what follows for a model of `n_layers` from models with fewer, by a straight line.

    Args:
        measured: One or two rehearsals by the number of layers.
        n_layers: Number of layers of the whole model.
    """
    depths = sorted(measured)
    first, last = measured[depths[0]], measured[depths[-1]]

    def line(low: float, high: float) -> float:
        if len(depths) == 1:
            return low
        slope = max(0.0, (high - low) / (depths[-1] - depths[0]))
        return low + slope * (n_layers - depths[0])

    paces = tuple(
        replace(
            low,
            read_seconds=line(low.read_seconds, high.read_seconds),
            write_seconds=line(low.write_seconds, high.write_seconds),
        )
        for low, high in zip(first.paces, last.paces, strict=True)
    )
    return replace(first, load_seconds=line(first.load_seconds, last.load_seconds), paces=paces)


def measure_pace(
    engine: Engine, task: str, jobs: Mapping[Rung, Sequence[Job]], *, to_the_end: bool
) -> Pace:
    """Measure how fast requests are taken, on some of the first chunk of the search.

    Args:
        jobs: Chunks of all requests of one type, by rung.
        to_the_end: Whether answers mean anything, so that their length is worth knowing.
    """
    read = {rung: sum(job.read for job in of_rung) for rung, of_rung in jobs.items()}
    written = {rung: sum(job.written for job in of_rung) for rung, of_rung in jobs.items()}
    chunk = next((job for job in jobs[Rung.SEARCH] if job.requests), None)
    if chunk is None:
        return Pace(task, False, read, written, 0.0, 0.0, 0.0)
    sample = _sample(engine, chunk)
    seconds, results = _best(engine, _capped(sample, 1))
    pace = Pace(task, chunk.generates, read, written, seconds / max(1, sample.read))
    if not chunk.generates:
        return pace
    first = _tokens(results)
    longer, results = _best(engine, _capped(sample, 1 + _NEW_TOKENS))
    pace = replace(pace, write_seconds=_each(longer - seconds, _tokens(results) - first))
    all_of_it = pace.write_seconds * sample.written
    if not to_the_end or all_of_it > _TO_THE_END * SAMPLE_SECONDS:
        return pace
    longer, results = _best(engine, sample)
    return replace(
        pace,
        write_seconds=_each(longer - seconds, _tokens(results) - first),
        share=_tokens(results) / sample.written,
    )


def _sample(engine: Engine, chunk: Job) -> Job:
    """As many requests of a chunk as may be read, by the time of the longest.

    Trying the longest one also makes the contexts, whose time is not to be measured.
    """
    longest = max(chunk.requests, key=lambda request: Job((request,), chunk.generates).weight)
    seconds, _ = _timed(engine, _capped(Job((longest,), chunk.generates), 1))
    count = max(1, int(SAMPLE_SECONDS / max(seconds, 1e-9)))
    return Job(chunk.requests[:count], chunk.generates)


def _best(engine: Engine, job: Job) -> tuple[float, list[Any]]:
    """The better of two times: what else the machine does would be multiplied by the layers."""
    return min((_timed(engine, job) for _ in range(2)), key=lambda timed: timed[0])


def _timed(engine: Engine, job: Job) -> tuple[float, list[Any]]:
    """Run a chunk in every decoder at once; the seconds that one takes then, and its results."""
    found: list[Any] = []
    start = time.perf_counter()
    engine.run([job] * engine.n_decoders, lambda index, results, seconds: found.append(results))
    return (time.perf_counter() - start) / engine.n_decoders, found[0]


def _capped(job: Job, tokens: int) -> Job:
    """The chunk with answers of at most so many tokens, and no thoughts before them."""
    if not job.generates:
        return job
    requests = (
        replace(request, max_tokens=min(tokens, request.most_tokens), thought=None)
        for request in job.requests
    )
    return replace(job, requests=tuple(requests))


def _tokens(results: Iterable[Any]) -> int:
    return sum(len(result.tokens) for result in results)


def _each(seconds: float, tokens: int) -> float:
    return max(0.0, seconds) / max(1, tokens)
