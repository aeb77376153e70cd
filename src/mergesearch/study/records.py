"""What the ledger returns: frozen records, every field documented."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from mergesearch.objectives import Direction, Rung, Score, TaskResult

RUN_NAME = "mergesearch"
"""Name of a run folder's study and of its run in the ledger."""

RUNNING = "running"
INTERRUPTED = "interrupted"
COMPLETE = "complete"
FAILED = "failed"


@dataclass(frozen=True)
class Axis:
    """One objective as the front sees it.

    Attributes:
        name: of the objective.
        direction: `maximize` or `minimize`.
        reference: its coordinate of the hypervolume's reference point.
        proxy: whether the search optimizes a proxy of it.
    """

    name: str
    direction: Direction
    reference: float
    proxy: bool = False


@dataclass(frozen=True)
class Reference:
    """A specialist's correct answer, whose likelihood is a proxy.

    Attributes:
        task: the item's task.
        item: index of the item in the task's own order.
        parent: the specialist.
        text: its answer.
    """

    task: str
    item: int
    parent: str
    text: str


@dataclass(frozen=True)
class RunRecord:
    """What a run is: everything that must be the same when it is resumed.

    Attributes:
        space: text of the space file.
        objectives: the objectives document.
        axes: the objectives in the order of the file.
        fingerprints: named digests of what values depend on (space, scoring, parents); two runs
            with different ones are never mixed.
        versions: of the packages that took part, when the run began.
        seed: of the proposals.
        sampler: name of what proposes.
        name: of the run in its database.
        created: when the run began.
    """

    space: str
    objectives: Mapping[str, Any]
    axes: tuple[Axis, ...]
    fingerprints: Mapping[str, str]
    versions: Mapping[str, str]
    seed: int
    sampler: str
    name: str = RUN_NAME
    created: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass(frozen=True)
class RungRecord:
    """One trial's measurement on one rung.

    Attributes:
        rung: `proxy`, `search` or `validate`.
        scores: a score for each objective; empty where it failed.
        build_seconds: reading, merging and quantizing the candidate; 0 where it was not built.
        score_seconds: loading and scoring it; 0 where it was not scored.
        failure: why there are no scores, else None.
        ended: when it ended.
    """

    rung: str
    scores: Mapping[str, Score]
    build_seconds: float
    score_seconds: float
    failure: str | None
    ended: datetime


@dataclass(frozen=True)
class TrialRecord:
    """One trial as the ledger has it.

    Attributes:
        number: of the trial in the study, from 0.
        state: `running`, `interrupted` (goes on at the next start), `complete` or `failed`.
        attempt: how often it was begun, from 1.
        parameters: the proposed value of each dimension of the space.
        recipe: the recipe document they give; empty where they gave none.
        recipe_digest: of the recipe; "" where there is none.
        shares: effective share of each parent, summing to 1.
        candidate_digest: SHA-256 (hex) of the GGUF, None before it was built.
        candidate_size: bytes of the GGUF, None before it was built.
        reused_from: number of an earlier trial with the same recipe or the same GGUF, whose scores
            these are; else None.
        failure: the reason of a failed trial, else None.
        started: when its last attempt began.
        ended: when it finished or was interrupted, None while it runs.
        rungs: its measurements by rung.
    """

    number: int
    state: str
    attempt: int
    parameters: Mapping[str, Any]
    recipe: Mapping[str, Any]
    recipe_digest: str
    shares: Mapping[str, float]
    candidate_digest: str | None
    candidate_size: int | None
    reused_from: int | None
    failure: str | None
    started: datetime
    ended: datetime | None
    rungs: Mapping[str, RungRecord]

    @property
    def finished(self) -> bool:
        """Whether the trial is complete or failed, and so never changes again."""
        return self.state in (COMPLETE, FAILED)

    @property
    def seconds(self) -> float | None:
        """Wall time of the last attempt in seconds, None while it runs."""
        return None if self.ended is None else (self.ended - self.started).total_seconds()

    def scores(self, rung: str = Rung.SEARCH) -> Mapping[str, Score]:
        """Return the scores on `rung`, empty where there are none.

        Where the search has proxies, only promoted trials have any on `search`.
        """
        return self.rungs[rung].scores if rung in self.rungs else {}


@dataclass(frozen=True)
class Measurement:
    """What building and scoring on one rung gave; the ledger's input for it.

    Attributes:
        scores: a score for each objective; empty where it failed.
        results: every task's items, also of a measurement that failed for too many unscored ones.
        digest: SHA-256 (hex) of the GGUF, None where it was not built.
        size: bytes of the GGUF, None where it was not built.
        build_seconds: reading, merging and quantizing.
        score_seconds: loading and scoring.
        failure: why there are no scores, else None.
        reused_from: number of the trial whose scores these are, else None.
    """

    scores: Mapping[str, Score] = field(default_factory=dict)
    results: Mapping[str, TaskResult] = field(default_factory=dict)
    digest: str | None = None
    size: int | None = None
    build_seconds: float = 0.0
    score_seconds: float = 0.0
    failure: str | None = None
    reused_from: int | None = None
