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
from typing import Any, Protocol

from mergesearch.objectives import Rung
from mergesearch.scoring.requests import Job

_NEW_TOKENS = 16  # that tell what one more token of every answer takes
_TO_THE_END = 4.0  # times the patience: as long may finishing the answers take


@dataclass(frozen=True)
class Part:
    """The requests of one type of a task, and how fast a model takes them.

    Attributes:
        task: its name.
        generates: whether the requests are answered in words.
        read: tokens of the prompts and choices, by rung.
        written: the most tokens that the answers may have, by rung.
        read_seconds: of one token that is read.
        write_seconds: of one token of an answer.
        share: part of the most tokens that answers took; None where they were not let run to
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
        """Return how long the part takes on a rung.

        Args:
            rung: of the objectives file.
            proxied: whether the task has a proxy, whose rung reads answers instead of writing them.
        """
        of = Rung.SEARCH if rung == Rung.PROXY else rung
        read, written = self.read.get(of, 0), self.written.get(of, 0)
        answers = written * (1.0 if self.share is None else self.share)
        write_seconds = self.read_seconds if proxied and rung == Rung.PROXY else self.write_seconds
        return read * self.read_seconds + answers * write_seconds


@dataclass(frozen=True)
class Rehearsal:
    """How fast one model is scored.

    Attributes:
        load_seconds: that llama.cpp took to load it.
        prepare_seconds: that making tokens of all requests takes, by rung.
        parts: of all tasks.
    """

    load_seconds: float
    prepare_seconds: Mapping[Rung, float]
    parts: tuple[Part, ...]

    def seconds(self, rung: Rung, proxied: Sequence[str] = ()) -> float:
        """Return how long one candidate takes on a rung, loading included.

        Args:
            rung: of the objectives file.
            proxied: tasks that have a proxy.
        """
        parts = sum(one.seconds(rung, one.task in proxied) for one in self.parts)
        prepare = self.prepare_seconds[Rung.SEARCH if rung == Rung.PROXY else rung]
        return self.load_seconds + prepare + parts

    @property
    def at_most(self) -> bool:
        """Whether answers are counted with the longest length that their tasks allow."""
        return any(one.generates and one.share is None for one in self.parts)


def at_depth(measured: Mapping[int, Rehearsal], n_layers: int) -> Rehearsal:
    """Return what follows for a model of `n_layers` from models with fewer, by a straight line.

    Args:
        measured: one or two rehearsals by the number of layers.
        n_layers: of the whole model.
    """
    depths = sorted(measured)
    first, last = measured[depths[0]], measured[depths[-1]]

    def line(low: float, high: float) -> float:
        if len(depths) == 1:
            return low
        slope = max(0.0, (high - low) / (depths[-1] - depths[0]))
        return low + slope * (n_layers - depths[0])

    return Rehearsal(
        line(first.load_seconds, last.load_seconds),
        first.prepare_seconds,
        tuple(
            replace(
                one,
                read_seconds=line(one.read_seconds, other.read_seconds),
                write_seconds=line(one.write_seconds, other.write_seconds),
            )
            for one, other in zip(first.parts, last.parts, strict=True)
        ),
    )


class Runner(Protocol):
    """What is needed of an engine."""

    n_workers: int

    def run(self, jobs: Sequence[Job], on_done: Any) -> None:
        """Run chunks, and tell each one's index, results and seconds."""


@dataclass(frozen=True)
class Effort:
    """How much a rehearsal may take.

    Attributes:
        patience: seconds that reading a part's sample may take.
        to_the_end: whether answers mean anything, so that their length is worth knowing.
    """

    patience: float
    to_the_end: bool


def rehearse_part(
    engine: Runner, task: str, jobs: Mapping[Rung, Sequence[Job]], effort: Effort
) -> Part:
    """Measure how fast requests are taken, on some of the first chunk of the search.

    Args:
        engine: with the model.
        task: name of the task.
        jobs: the chunks of all requests of one type, by rung.
        effort: how much it may take.
    """
    read = {rung: sum(_read(one) for one in some) for rung, some in jobs.items()}
    written = {rung: sum(_written(one) for one in some) for rung, some in jobs.items()}
    chunk = next((one for one in jobs[Rung.SEARCH] if one.requests), None)
    if chunk is None:
        return Part(task, False, read, written, 0.0, 0.0, 0.0)
    sample = _sample(engine, chunk, effort.patience)
    seconds, results = _best(engine, _capped(sample, 1))
    part = Part(task, chunk.generates, read, written, seconds / max(1, _read(sample)))
    if not chunk.generates:
        return part
    first = _tokens(results)
    longer, results = _best(engine, _capped(sample, 1 + _NEW_TOKENS))
    part = replace(part, write_seconds=_each(longer - seconds, _tokens(results) - first))
    all_of_it = part.write_seconds * _written(sample)
    if not effort.to_the_end or all_of_it > _TO_THE_END * effort.patience:
        return part
    longer, results = _best(engine, sample)
    return replace(
        part,
        write_seconds=_each(longer - seconds, _tokens(results) - first),
        share=_tokens(results) / _written(sample),
    )


def _sample(engine: Runner, chunk: Job, patience: float) -> Job:
    """As many requests of a chunk as are read within the patience, by the time of the longest.

    Trying the longest one also makes the contexts, whose time is not to be measured.
    """
    longest = max(chunk.requests, key=lambda one: Job((one,), chunk.generates).weight)
    seconds, _ = _timed(engine, _capped(Job((longest,), chunk.generates), 1))
    count = max(1, int(patience / max(seconds, 1e-9)))
    return Job(chunk.requests[:count], chunk.generates)


def _best(engine: Runner, job: Job) -> tuple[float, list[Any]]:
    """The better of two times: what else the machine does would be multiplied by the layers."""
    return min((_timed(engine, job) for _ in range(2)), key=lambda one: one[0])


def _timed(engine: Runner, job: Job) -> tuple[float, list[Any]]:
    """Run a chunk in every worker at once; the seconds that one takes then, and its results."""
    found: list[Any] = []
    begun = time.perf_counter()
    engine.run([job] * engine.n_workers, lambda index, results, seconds: found.append(results))
    return (time.perf_counter() - begun) / engine.n_workers, found[0]


def _capped(job: Job, tokens: int) -> Job:
    """The chunk with answers of at most so many tokens."""
    if not job.generates:
        return job
    requests = (replace(one, max_tokens=min(tokens, one.max_tokens)) for one in job.requests)
    return replace(job, requests=tuple(requests))


def _read(job: Job) -> int:
    return job.weight - _written(job)


def _written(job: Job) -> int:
    return sum(one.max_tokens for one in job.requests) if job.generates else 0


def _tokens(results: Iterable[Any]) -> int:
    return sum(len(one.tokens) for one in results)


def _each(seconds: float, tokens: int) -> float:
    return max(0.0, seconds) / max(1, tokens)
