"""The confirmed front: what is shown in the end, and kept beside the front of the search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from mergesearch.objectives import Score, scores_to_dict
from mergesearch.study.confirming import chances_of_membership, grouped, supported
from mergesearch.study.estimation.estimates import Estimates
from mergesearch.study.pareto import hypervolume, knee, sign_of
from mergesearch.study.records import Axis


@dataclass(frozen=True)
class ConfirmedMember:
    """A member of the confirmed front.

    Attributes:
        trial: Number of the trial.
        values: Objectives as search and confirmation together tell them, shrunk for having been
            picked; `n` counts the validate items.
        chance: Chance that no other finalist dominates it.
        twins: Numbers of the trials that cannot be told apart from it and that it stands for.
    """

    trial: int
    values: Mapping[str, Score]
    chance: float
    twins: tuple[int, ...]

    def facts(self) -> dict[str, Any]:
        """Return what `front.json` adds to a member."""
        values = scores_to_dict(self.values)
        return {"confirmed": values, "chance": self.chance, "twins": list(self.twins)}


@dataclass(frozen=True)
class ConfirmedFront:
    """The front of the finalists.

    Attributes:
        members: Members, the best in the first objective first.
        dropped: Numbers of finalists that others dominate, or nearly.
        hypervolume: Hypervolume of the members' values above the reference point.
        knee: Number of the trial at the knee.
    """

    members: tuple[ConfirmedMember, ...]
    dropped: tuple[int, ...]
    hypervolume: float
    knee: int

    @classmethod
    def of(
        cls,
        axes: Sequence[Axis],
        estimates: Estimates,
        validated: Mapping[int, Mapping[str, Score]],
        seed: int,
    ) -> Self:
        """Return the front of finalists.

        Args:
            axes: Objectives in the order of the file.
            estimates: What is known of the finalists from search and confirmation together.
            validated: Scores of the finalists on the validate items, by trial.
            seed: Seed of the draws that the chances are counted on.
        """
        directions = [axis.direction for axis in axes]
        chances = chances_of_membership(estimates, directions, np.random.default_rng([seed, 14]))
        members = supported(estimates, chances, directions)
        groups = grouped(estimates, members, chances)
        sign = sign_of(directions[0])
        groups.sort(key=lambda group: -sign * estimates.values[estimates.rows[group.trial], 0])
        values = [estimates.values[estimates.rows[group.trial]] for group in groups]
        return cls(
            members=tuple(
                ConfirmedMember(
                    group.trial,
                    _scores(axes, estimates, group.trial, validated[group.trial]),
                    group.chance,
                    group.twins,
                )
                for group in groups
            ),
            dropped=tuple(sorted(set(estimates.trials) - set(members))),
            hypervolume=hypervolume(values, [axis.reference for axis in axes], directions),
            knee=groups[knee(values, directions)].trial,
        )

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Self:
        """Return the front that `to_dict` wrote."""
        members = tuple(
            ConfirmedMember(
                member["trial"],
                {name: Score(**score) for name, score in member["confirmed"].items()},
                member["chance"],
                tuple(member["twins"]),
            )
            for member in document["members"]
        )
        return cls(members, tuple(document["dropped"]), document["hypervolume"], document["knee"])

    def to_dict(self) -> dict[str, Any]:
        """Return the document that `from_dict` reads back."""
        return {
            "members": [{"trial": member.trial, **member.facts()} for member in self.members],
            "dropped": list(self.dropped),
            "hypervolume": self.hypervolume,
            "knee": self.knee,
        }


def _scores(
    axes: Sequence[Axis], estimates: Estimates, trial: int, validated: Mapping[str, Score]
) -> dict[str, Score]:
    row = estimates.rows[trial]
    return {
        axis.name: Score(
            float(estimates.values[row, column]),
            float(estimates.errors[row, column]),
            validated[axis.name].n,
            validated[axis.name].n_unscored,
        )
        for column, axis in enumerate(axes)
    }
