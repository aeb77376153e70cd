"""Chunks go through the engine heaviest first; those on disk do not go again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

from mergesearch.scoring.scorer import run_chunks


@dataclass
class Chunk:
    job: Any
    taken: list[tuple[Any, float]] = field(default_factory=list)

    def take(self, results: Any, seconds: float) -> None:
        self.taken.append((results, seconds))


class Engine:
    """Answers each job with its name."""

    def __init__(self) -> None:
        self.ran: list[str] = []

    def run(self, jobs: list[Any], finish: Callable[[int, list[Any], float], None]) -> None:
        for index, job in reversed(list(enumerate(jobs))):
            self.ran.insert(0, job.name)
            finish(index, [job.name], job.weight)


class Stored:
    """Finished chunks by the name of their job."""

    def __init__(self, **found: tuple[list[str], float]) -> None:
        self.found = found

    def read(self, job: Any) -> tuple[list[str], float] | None:
        return self.found.get(job.name)

    def write(self, job: Any, results: list[str], seconds: float) -> None:
        self.found[job.name] = (results, seconds)


def run(stored: Stored | None) -> tuple[list[str], list[Chunk], list[str]]:
    weights = {"a": 1, "b": 9, "c": 4}
    jobs = [SimpleNamespace(name=name, weight=weight) for name, weight in weights.items()]
    chunks, engine, done = [Chunk(job) for job in jobs], Engine(), []
    run_chunks(
        cast(Any, engine),
        cast(Any, chunks),
        cast(Any, stored),
        lambda chunk: done.append(cast(Any, chunk).job.name),
    )
    return engine.ran, chunks, done


def test_the_heaviest_chunk_runs_first_and_each_gets_its_own_results() -> None:
    ran, chunks, done = run(None)
    assert ran == ["b", "c", "a"]
    assert [chunk.taken for chunk in chunks] == [[(["a"], 1)], [(["b"], 9)], [(["c"], 4)]]
    assert sorted(done) == ["a", "b", "c"]


def test_what_is_on_disk_is_read_and_what_was_run_is_written() -> None:
    stored = Stored(b=(["from disk"], 0.5))
    ran, chunks, done = run(stored)
    assert ran == ["c", "a"]
    assert chunks[1].taken == [(["from disk"], 0.5)]
    assert done[0] == "b"
    assert stored.found == {"a": (["a"], 1), "b": (["from disk"], 0.5), "c": (["c"], 4)}
