"""What a run asks of its scoring process, and what that answers, through a pickling connection.

Each request has one answer, or an error in its place. `Progress` may come before it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from mergesearch.errors import MergeSearchError, ScorerOutOfMemory, ScoringError
from mergesearch.objectives import Items, Objectives, References, Rung, TaskResult
from mergesearch.scoring.rehearsal import Rehearsal
from mergesearch.scoring.texts import Texts

Answer = TypeVar("Answer")

# -- from the run ----------------------------------------------------------------------------------


class Request(Generic[Answer]):
    """Something that is answered by an `Answer`."""


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
class Setup(Request[Loaded]):
    """Load the tasks of an objectives file; this comes before all others.

    Attributes:
        objectives: Objectives file.
        trust_tasks: Whether task files may run code of their own.
        partial: Folder for finished chunks; None: they are not kept.
    """

    objectives: Objectives
    trust_tasks: bool
    partial: Path | None


@dataclass(frozen=True)
class UseReferences(Request[None]):
    """Take the specialists' correct answers, which proxies are made of."""

    answers: References


@dataclass(frozen=True)
class ScoreCandidate(Request[dict[str, TaskResult]]):
    """Score a candidate on a rung; the answer is its results by task.

    Attributes:
        path: Path that opens the candidate.
        rung: Rung whose items are scored.
        digest: SHA-256 (hex) of the candidate, by which its finished chunks are kept.
        items: Items of the rung to score; None: all of them.
    """

    path: Path
    rung: Rung
    digest: str
    items: Items | None


@dataclass(frozen=True)
class RehearseCandidate(Request[Rehearsal]):
    """Measure on a few requests how fast a candidate, opened by its path, is scored.

    Attributes:
        path: Path that opens the candidate.
        to_the_end: Whether its answers mean anything, so that their length is worth knowing.
    """

    path: Path
    to_the_end: bool


@dataclass(frozen=True)
class ReadItems(Request[Texts]):
    """Say what items ask, for people."""

    items: Items


# -- from the scoring process ----------------------------------------------------------------------


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
