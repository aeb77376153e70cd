"""What a run and its scoring process tell each other, through a pickling connection.

The run calls methods of the process's `Server` by their names. Each call is answered by what the
method returns, or by an error in its place. `Progress` may come before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from mergesearch.errors import MergeSearchError, ScorerOutOfMemory, ScoringError
from mergesearch.objectives import Items, Rung


@dataclass(frozen=True)
class Loaded:
    """The tasks of an objectives file.

    Attributes:
        order: Items of each rung in their fixed order.
        means: Used metrics of each task that are means over its items.
    """

    order: Mapping[Rung, Items]
    means: Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Progress:
    """How far the scoring of one task is.

    Attributes:
        task: Name of the task.
        done: Number of items scored.
        total: Number of items to score.
    """

    task: str
    done: int
    total: int


OnProgress = Callable[[Progress], None]


def failure(error: Exception) -> MergeSearchError:
    """Return what an exception is sent as: itself, or an error of ours, which the run knows."""
    match error:
        case MergeSearchError():
            return error
        case MemoryError():
            return ScorerOutOfMemory("the scoring process ran out of memory")
        case _:
            return ScoringError(f"{type(error).__name__}: {error}")
