"""What a run takes from another one: its front as first trials, its data as a prior that fades."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self


@dataclass(frozen=True)
class PriorTrial:
    """A trial of another run, as the space of this one has it.

    Attributes:
        parameters: Value of each dimension.
        values: Value of each objective.
        standard_errors: Standard error of each value.
    """

    parameters: Mapping[str, Any]
    values: tuple[float, ...]
    standard_errors: tuple[float, ...]


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
    trials: tuple[PriorTrial, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the warm start as a run folder keeps it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Self:
        """Return the warm start that `to_dict` wrote.

        Raises:
            KeyError, TypeError: The document is another.
        """
        trials = (
            PriorTrial(trial["parameters"], tuple(trial["values"]), tuple(trial["standard_errors"]))
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
