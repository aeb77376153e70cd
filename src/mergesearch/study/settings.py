"""What a run is asked to do, and the parts it is given to do it with."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from mergesearch import __version__
from mergesearch.objectives import Items, Objectives, References, Rung, TaskResult
from mergesearch.recipe import Recipe
from mergesearch.study.warm_start import WarmStart


class Candidate(Protocol):
    """A built candidate; leaving its context gives its memory back."""

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of the whole GGUF."""

    @property
    def size(self) -> int:
        """Bytes of the GGUF."""

    def __enter__(self) -> Any:
        """Return the candidate."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> bool | None:
        """Give the candidate's memory back."""


class SearchSpace(Protocol):
    """What a study needs of a space."""

    @property
    def dimensions(self) -> Sequence[Any]:
        """Everything a trial proposes, in a fixed order."""

    def recipe(self, values: Mapping[str, Any], /) -> Recipe:
        """Return the recipe that one value per dimension gives."""

    def starts(self) -> Sequence[Mapping[str, Any]]:
        """Parameters of the trials that come first."""

    def to_dict(self) -> Mapping[str, Any]:
        """The document that says everything about the space."""


class ProgressReport(Protocol):
    """How far the scoring of one task is."""

    @property
    def task(self) -> str:
        """Name of the task."""

    @property
    def done(self) -> int:
        """Items scored."""

    @property
    def total(self) -> int:
        """Items to score."""


OnProgress = Callable[[ProgressReport], None]
Build = Callable[[Recipe, threading.Event], Candidate]
ScoreCandidate = Callable[[Any, Rung, OnProgress, Items | None], Mapping[str, TaskResult]]


@dataclass(frozen=True)
class Search:
    """What is searched, and how a candidate comes about.

    Attributes:
        space: Space that recipes come from.
        objectives: Objectives, which turn task results into scores.
        build: Function (recipe, stop) -> candidate; a MergeSearchError, OSError or MemoryError
            fails the trial. It raises soon after the event `stop` is set.
        score: Function (candidate, rung, progress callback, items or None for all) -> results by
            task; it fails a trial likewise.
        order: Function that gives the items of each rung in their fixed order.
        parents: Recipe of each parent alone, by id; where there are proxies, the specialists are
            among them.
        build_ahead: Whether the next candidate is built while one is scored.
        use_references: Function that takes the specialists' correct answers, before the first trial
            is scored.
        warm_start: What the run takes from another one, None for nothing.
        relevance: Function that gives how much each dimension is thought to matter, 1 on average,
            by its name; 1 for those that are left out. It may read the parents, and is not called
            before a sampler asks.
        shares: Function that gives the effective share of each parent in a recipe, for the record.
        words: Function that gives a recipe in words, for the record.
        space_text: Space file as written, for the record.
        fingerprints: Named digests of what else the values depend on, such as the parents' files;
            a run is only resumed where all are the same.
    """

    space: SearchSpace
    objectives: Objectives
    build: Build
    score: ScoreCandidate
    order: Callable[[], Mapping[Rung, Items]] = dict
    parents: Mapping[str, Recipe] = field(default_factory=dict)
    build_ahead: bool = False
    use_references: Callable[[References], None] = lambda references: None
    shares: Callable[[Recipe], Mapping[str, float]] = lambda recipe: {}
    warm_start: WarmStart | None = None
    relevance: Callable[[], Mapping[str, float]] = dict
    words: Callable[[Recipe], Sequence[str]] = lambda recipe: ()
    space_text: str = ""
    fingerprints: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class StudyFiles:
    """Where a run keeps what its study writes.

    Attributes:
        database: SQLAlchemy URL of the database; `database.sqlite_url` gives that of a file.
        name: Name of the run where it is new, or where the database is that of a server. A file
            holds one run, which keeps its name when the file is moved.
        front: File for the front as JSON.
        lock: File that keeps a second process out.
    """

    database: str
    name: str
    front: Path
    lock: Path

    @property
    def turns(self) -> Path:
        """File whose lock gives turns to workers, where the database is a file."""
        return self.lock.with_name(".turns")


@dataclass(frozen=True)
class StudySettings:
    """When a run stops, and what proposes.

    Attributes:
        tokens: Number of tokens, read and generated by scoring, to reach.
        hypervolume: Hypervolume of the front to reach.
        patience: Number of trials in a row, none a member of the front, after which it stops.
        trials: Number of finished trials in the study, those of earlier starts included.
        hours: Hours from this start in which the machine is awake; the trial that then runs is
            finished.
        until: Moment after which no trial is started; naive ones are local time.
        seed: Seed of the proposals; None: the run's own when it is resumed, else 0.
        sampler: Name of the sampler; None: that of the run when it is resumed, else `auto`.
        confirm: Share of all item scores that confirms the front where trials are scored on parts
            of the items; elsewhere its members are scored on all validate items. 0: nothing is
            confirmed.
        failures_in_a_row: Number of trials that may fail before any was complete; five times as
            many after.
    """

    trials: int | None = None
    hours: float | None = None
    until: datetime | None = None
    tokens: int | None = None
    hypervolume: float | None = None
    patience: int | None = None
    seed: int | None = None
    sampler: str | None = None
    confirm: float = 0.2
    failures_in_a_row: int = 5


_RECORDED = (
    "gguf",
    "llama-cpp-python",
    "lm-eval",
    "numpy",
    "optuna",
    "scipy",
    "torch",
)


def package_versions() -> dict[str, str]:
    """Return the versions of the packages that values and proposals depend on."""
    versions = {"mergesearch": __version__}
    for name in _RECORDED:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions
