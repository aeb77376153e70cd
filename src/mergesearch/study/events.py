"""What a run tells while it works; the live view and the log are made of these alone."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mergesearch.objectives import Rung, Score
from mergesearch.study.front import Front
from mergesearch.study.records import Axis, TrialRecord
from mergesearch.study.stopping import StopRule


@dataclass(frozen=True)
class RunOpened:
    """The inputs of a run are proven, and its folder is there.

    Attributes:
        space: Space as it was named.
        dimensions: Number of dimensions of the space.
        objectives: Objectives as they were named.
        names: Names of the objectives.
        folder: Folder of the run.
    """

    space: str
    dimensions: int
    objectives: str
    names: tuple[str, ...]
    folder: Path


@dataclass(frozen=True)
class RunStarted:
    """A run starts, or is resumed.

    Attributes:
        axes: Objectives, in order.
        rule: When the run stops.
        sampler: Name of what proposes.
        trials: Trials of earlier starts.
        seed: Seed of the proposals.
    """

    axes: tuple[Axis, ...]
    rule: StopRule
    sampler: str
    trials: tuple[TrialRecord, ...]
    seed: int = 0


@dataclass(frozen=True)
class Noted:
    """Something that a person should know of the parents, said before the run starts.

    Attributes:
        note: One sentence.
    """

    note: str


@dataclass(frozen=True)
class Preparing:
    """Something begins that takes seconds before or after the trials.

    Attributes:
        what: What is done, such as `loading the tasks`.
    """

    what: str


@dataclass(frozen=True)
class ParentMeasured:
    """A parent was measured, to find out whose answers the proxies are made of.

    Attributes:
        parent: Id of the parent.
        scores: Scores on the search items, by objective.
        seconds: Time that building and scoring it took, in seconds.
    """

    parent: str
    scores: Mapping[str, Score]
    seconds: float


@dataclass(frozen=True)
class StageStarted:
    """A trial enters a stage: `proposing`, `building` or `scoring`, on a rung."""

    number: int
    rung: Rung
    stage: str


@dataclass(frozen=True)
class Progressed:
    """Some of a task's items are scored."""

    number: int
    rung: Rung
    task: str
    done: int
    total: int


@dataclass(frozen=True)
class TriedAgain:
    """A stage of a trial failed for a reason that lies outside of it, and is done once more.

    Attributes:
        number: Number of the trial.
        reason: Why it failed.
    """

    number: int
    reason: str


@dataclass(frozen=True)
class TrialFinished:
    """A trial is complete or failed, and on disk."""

    trial: TrialRecord


@dataclass(frozen=True)
class ValidationStarted:
    """No further trial is started; these members of the front are still to be validated.

    Attributes:
        reason: Why no further trial is started.
        numbers: Numbers of the trials.
    """

    reason: str
    numbers: tuple[int, ...]


@dataclass(frozen=True)
class Validated:
    """A member of the front was scored on the validate items, or could not be."""

    trial: TrialRecord


@dataclass(frozen=True)
class RunFinished:
    """The run is done and `front.json` written.

    Attributes:
        front: The front that the run found.
    """

    front: Front


Event = (
    RunOpened
    | RunStarted
    | Noted
    | Preparing
    | ParentMeasured
    | StageStarted
    | Progressed
    | TriedAgain
    | TrialFinished
    | ValidationStarted
    | Validated
    | RunFinished
)
Observer = Callable[[Event], None]
"""What is told every event of a run."""


def broadcast(*observers: Observer) -> Observer:
    """Return an observer that tells others every event, in their order."""

    def tell(event: Event) -> None:
        for observer in observers:
            observer(event)

    return tell
