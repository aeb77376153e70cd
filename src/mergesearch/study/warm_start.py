"""What a run takes from another one: its front as first trials, its data as a prior that fades."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from mergesearch.study.records import Observation


@dataclass(frozen=True)
class WarmStart:
    """What a run takes from another one.

    Attributes:
        source: Folder of the other run as it was named.
        matched: Dimensions that the other run knows of.
        by_place: Name in the other run of each hole that has another name there, at the same place.
        unmatched: Dimensions that it knows nothing of.
        starts: Parameters of its front's members, to be tried first.
        trials: Trials of the other run, those before that fewest others dominate; empty where its
            objectives are not those of this run.
    """

    source: str
    matched: tuple[str, ...]
    by_place: Mapping[str, str]
    unmatched: tuple[str, ...]
    starts: tuple[Mapping[str, Any], ...]
    trials: tuple[Observation, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the warm start as a run folder keeps it."""
        known = ("parameters", "values", "standard_errors")
        trials = [{name: getattr(trial, name) for name in known} for trial in self.trials]
        return asdict(self) | {"trials": trials}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Self:
        """Return the warm start that `to_dict` wrote.

        Raises:
            KeyError, TypeError: The document is another.
        """
        trials = (
            Observation(
                trial["parameters"],
                values=tuple(trial["values"]),
                standard_errors=tuple(trial["standard_errors"]),
            )
            for trial in document["trials"]
        )
        return cls(
            document["source"],
            tuple(document["matched"]),
            document["by_place"],
            tuple(document["unmatched"]),
            tuple(document["starts"]),
            tuple(trials),
        )
