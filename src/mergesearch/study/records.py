"""What is on record about a run: frozen records, every field documented."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from mergesearch.objectives import Direction, ItemResult, Rung, Score, scores_to_dict


class State(StrEnum):
    """What has become of a trial."""

    RUNNING = "running"
    """Started and not finished; after an interruption it is done again under its number."""
    COMPLETE = "complete"
    """Measured; it never changes again."""
    FAILED = "failed"
    """Could not be built or scored; it never changes again."""


@dataclass(frozen=True)
class Axis:
    """One objective as the front sees it.

    Attributes:
        name: Name of the objective.
        direction: `maximize` or `minimize`.
        reference: Coordinate of the hypervolume's reference point.
        proxy: Whether the search optimizes a proxy of the objective.
        percent: Whether its values are shares of 1, which people read in percent.
    """

    name: str
    direction: Direction
    reference: float
    proxy: bool = False
    percent: bool = True


@dataclass(frozen=True)
class Reference:
    """A specialist's correct answer, whose likelihood is a proxy.

    Attributes:
        task: Name of the item's task.
        item: Index of the item in the task's own order.
        parent: Id of the specialist.
        text: Answer of the specialist.
    """

    task: str
    item: int
    parent: str
    text: str


@dataclass(frozen=True)
class RunRecord:
    """What a run is: everything that must be the same when it is resumed.

    Attributes:
        name: Name of the run, and of its study in Optuna.
        space: Text of the space file.
        objectives: Objectives document.
        axes: Objectives in the order of the file.
        fingerprints: Named digests of what values depend on (space, scoring, parents); two runs
            with different ones are never mixed.
        versions: Versions of the packages that took part when the run started.
        seed: Seed of the proposals.
        sampler: Name of the sampler.
        created: Moment at which the run started.
    """

    name: str
    space: str
    objectives: Mapping[str, Any]
    axes: tuple[Axis, ...]
    fingerprints: Mapping[str, str]
    versions: Mapping[str, str]
    seed: int
    sampler: str
    created: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def first_rung(self) -> Rung:
        """The rung that every trial is measured on, and whose values the sampler is told."""
        return Rung.PROXY if any(axis.proxy for axis in self.axes) else Rung.SEARCH


@dataclass(frozen=True)
class RaceRecord:
    """How far a trial came that is scored on growing parts of the search items.

    Attributes:
        parts: Number of parts that it was scored on.
        tokens: Number of tokens that were read and generated for them.
        chance: Chance of adding to the front that decided last whether it is scored further; None
            where nothing was to be decided.
        checked: Whether it was drawn beforehand to be scored on all parts, whatever its chance.
        stopped: Whether it was stopped before the last part.
    """

    parts: int
    tokens: int
    chance: float | None
    checked: bool
    stopped: bool


@dataclass(frozen=True)
class Measurement:
    """What building and scoring a candidate on one rung gave.

    Attributes:
        scores: Score of each objective; empty where measuring failed.
        items: Results of the items, also where too many of them were unscored; the record of a
            trial is read without them.
        build_seconds: Seconds of reading, merging and quantizing; 0 where nothing was built.
        score_seconds: Seconds of loading and scoring; 0 where nothing was scored.
        failure: Reason why there are no scores, else None.
        ended: Moment at which the measurement ended.
    """

    scores: Mapping[str, Score] = field(default_factory=dict)
    items: Sequence[ItemResult] = ()
    build_seconds: float = 0.0
    score_seconds: float = 0.0
    failure: str | None = None
    ended: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass(frozen=True)
class Observation:
    """What a sampler knows of a trial.

    Attributes:
        parameters: Value of each dimension.
        state: What has become of the trial.
        values: Value of each objective; empty unless it is complete.
        standard_errors: Standard error of each value.
        errors: Vector of each objective such that the covariance of two trials' errors is the
            product of theirs; empty where the errors are independent.
        notes: Notes that the sampler itself made when it proposed the trial.
    """

    parameters: Mapping[str, Any]
    state: State = State.COMPLETE
    values: tuple[float, ...] = ()
    standard_errors: tuple[float, ...] = ()
    errors: Sequence[NDArray[np.float64]] = ()
    notes: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, parameters: Mapping[str, Any], scores: Sequence[Score]) -> Self:
        """Return what is known of a complete trial by its scores, one an objective."""
        values = tuple(score.value for score in scores)
        errors = tuple(score.stderr for score in scores)
        return cls(parameters, values=values, standard_errors=errors)


@dataclass(frozen=True)
class WorkerRecord:
    """A process that works on a shared run, or did.

    Attributes:
        number: Number of the worker in the run, from 1.
        host: Name of its machine.
        pid: Id of its process there.
        hours: Hours from joining to its end, or to its last sign of life.
        seen: Moment of its last sign of life, in seconds since 1970 by the server's clock.
        silent_seconds: Seconds since then.
        has_left: Whether it has left, or was lost.
    """

    number: int
    host: str
    pid: int
    hours: float
    seen: float
    silent_seconds: float
    has_left: bool


@dataclass(frozen=True)
class TrialRecord:
    """One trial.

    Attributes:
        number: Number of the trial in the study, from 0.
        state: What has become of it.
        attempt: How often it was started, from 1.
        parameters: Proposed value of each dimension of the space.
        recipe: Recipe document that the parameters give; empty where they give none.
        recipe_digest: Digest of the recipe; "" where there is none.
        shares: Effective share of each parent, summing to 1.
        candidate_digest: SHA-256 (hex) of the GGUF, None before it was built.
        candidate_size: Bytes of the GGUF, None before it was built.
        reused_from: Number of an earlier trial with the same recipe or the same GGUF, whose scores
            these are; else None.
        failure: Reason of a failed trial, else None.
        started: Moment at which the last attempt started.
        ended: Moment at which the trial finished, None before.
        rungs: Measurements by rung.
        words: The recipe in words: ratio of the parents, what is scaled, and how it goes over the
            depth.
        race: How far it came where trials are scored on growing parts of the items, else None.
        worker: Number of the worker that did it last; None where a single process worked.
        unseen: Numbers of the trials before it that still ran when it was proposed, so that
            nothing of them was known.
    """

    number: int
    state: State
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
    rungs: Mapping[Rung, Measurement]
    words: tuple[str, ...] = ()
    race: RaceRecord | None = None
    worker: int | None = None
    unseen: tuple[int, ...] = ()

    @property
    def finished(self) -> bool:
        """Whether the trial is complete or failed, and so never changes again."""
        return self.state is not State.RUNNING

    @property
    def seconds(self) -> float | None:
        """Wall time of the last attempt in seconds, None before the trial finished."""
        return None if self.ended is None else (self.ended - self.started).total_seconds()

    @property
    def parent(self) -> str | None:
        """The parent that the trial is, None where it is a mixture."""
        alone = [ref for ref, share in self.shares.items() if math.isclose(share, 1.0)]
        rest = sum(abs(share) for ref, share in self.shares.items() if ref not in alone)
        return alone[0] if len(alone) == 1 and math.isclose(rest, 0.0, abs_tol=1e-9) else None

    def scores(self, rung: Rung = Rung.SEARCH) -> Mapping[str, Score]:
        """Return the score of each objective on a rung, empty where there are none.

        Where the search has proxies, only promoted trials have any on `search`.
        """
        return self.rungs[rung].scores if rung in self.rungs else {}

    def to_dict(self) -> dict[str, Any]:
        """Return all that is on record as `search show --json` prints it; moments in ISO 8601."""
        document = {item.name: getattr(self, item.name) for item in fields(self)}
        document |= {name: dict(document[name]) for name in ("parameters", "recipe", "shares")}
        document |= {"words": list(self.words), "unseen": list(self.unseen)}
        document["state"] = str(self.state)
        document["started"] = self.started.isoformat()
        document["ended"] = None if self.ended is None else self.ended.isoformat()
        document["race"] = None if self.race is None else asdict(self.race)
        document["rungs"] = {
            str(rung): {
                "scores": scores_to_dict(measured.scores),
                "build_seconds": measured.build_seconds,
                "score_seconds": measured.score_seconds,
                "failure": measured.failure,
                "ended": measured.ended.isoformat(),
            }
            for rung, measured in self.rungs.items()
        }
        return document
