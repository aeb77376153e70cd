"""A run's events for programs: one JSON object a line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mergesearch.objectives import scores_to_dict
from mergesearch.study.events import (
    Event,
    Observer,
    ParentMeasured,
    RunFinished,
    RunOpened,
    RunStarted,
    TrialFinished,
    Validated,
)
from mergesearch.study.records import TrialRecord


@contextmanager
def json_events(path: Path) -> Iterator[Observer]:
    """Append a line to a file for each event; yields the run's observer.

    Each line has `time` (ISO 8601, UTC), `event` (the name of its class) and what belongs to it.

    Raises:
        OSError: The file cannot be written.
    """
    with open(path, "a", encoding="utf-8") as file:

        def observe(event: Event) -> None:
            line = {"time": datetime.now(UTC).isoformat(), "event": type(event).__name__}
            file.write(json.dumps(line | _fields(event)) + "\n")
            file.flush()

        yield observe


def _fields(event: Event) -> dict[str, Any]:
    match event:
        case RunOpened():
            return {**asdict(event), "folder": str(event.folder)}
        case RunStarted():
            return {
                "objectives": [axis.name for axis in event.axes],
                "rule": asdict(event.rule),
                "sampler": event.sampler,
                "seed": event.seed,
                "trials": len(event.trials),
            }
        case ParentMeasured():
            scores = scores_to_dict(event.scores)
            return {"parent": event.parent, "scores": scores, "seconds": event.seconds}
        case TrialFinished(trial) | Validated(trial):
            return _trial(trial)
        case RunFinished(front):
            members = [member.trial for member in front.members]
            return {"front": members, "knee": front.knee, "hypervolume": front.hypervolume}
        case _:
            return asdict(event)


def _trial(trial: TrialRecord) -> dict[str, Any]:
    return {
        "number": trial.number,
        "state": trial.state,
        "failure": trial.failure,
        "attempt": trial.attempt,
        "seconds": trial.seconds,
        "digest": trial.candidate_digest,
        "scores": {name: scores_to_dict(rung.scores) for name, rung in trial.rungs.items()},
    }
