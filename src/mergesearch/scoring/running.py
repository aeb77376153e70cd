"""Runs the chunks of a candidate, heaviest first; those that are on disk already are read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mergesearch.scoring.engine import Engine
from mergesearch.scoring.partial import PartialScores
from mergesearch.scoring.requests import Chunk


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
