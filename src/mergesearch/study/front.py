"""The Pareto front of a run, computed from the records of its trials."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

from mergesearch.errors import InputError
from mergesearch.objectives import Rung, Score
from mergesearch.study.choosing import parse_choice
from mergesearch.study.pareto import hypervolume, knee, non_dominated
from mergesearch.study.proxies import Agreement, agreements
from mergesearch.study.records import Axis, State, TrialRecord


@dataclass(frozen=True)
class FrontMember:
    """A complete trial that no other dominates on the search items.

    Attributes:
        trial: Number of the trial.
        values: Score of each objective on the search items.
        validated: Score of each objective on the validate items; empty before they were scored.
        shares: Effective share of each parent, summing to 1.
        words: The recipe in words.
        digest: SHA-256 (hex) of the GGUF.
        recipe: Recipe document that rebuilds the GGUF.
    """

    trial: int
    values: Mapping[str, Score]
    validated: Mapping[str, Score]
    shares: Mapping[str, float]
    words: tuple[str, ...]
    digest: str
    recipe: Mapping[str, Any]

    @classmethod
    def of(cls, trial: TrialRecord) -> Self:
        """Return the member that a trial is."""
        return cls(
            trial=trial.number,
            values=trial.scores(),
            validated=trial.scores(Rung.VALIDATE),
            shares=trial.shares,
            words=trial.words,
            digest=trial.candidate_digest or "",
            recipe=trial.recipe,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the member as `front.json` has it; `validated` is null before it was scored."""
        return {
            "trial": self.trial,
            "values": _scores(self.values),
            "validated": _scores(self.validated) or None,
            "shares": dict(self.shares),
            "words": list(self.words),
            "digest": self.digest,
            "recipe": dict(self.recipe),
        }


@dataclass(frozen=True)
class Front:
    """The Pareto front of a run as it stands.

    Attributes:
        axes: Objectives in the order of the objectives file.
        hypervolume: Hypervolume of the members' search values above the reference point.
        knee: Number of the trial at the front's knee, None for an empty front.
        members: Members of the front; the best in the first objective comes first, of equals the
            earlier trial.
        trials: Number of finished trials.
        failed: Number of failed trials among them.
        proxies: Agreement of proxy and metric for each objective that has a proxy.
    """

    axes: tuple[Axis, ...]
    hypervolume: float
    knee: int | None
    members: tuple[FrontMember, ...]
    trials: int
    failed: int
    proxies: Mapping[str, Agreement]

    @classmethod
    def of(cls, axes: Sequence[Axis], trials: Sequence[TrialRecord]) -> Self:
        """Return the front of a run's trials.

        Where there are proxies, members are among the promoted trials. A trial that reused
        another's scores is that other one again, so it is left out.
        """
        directions = [axis.direction for axis in axes]
        own = [
            trial
            for trial in trials
            if trial.state is State.COMPLETE and trial.reused_from is None and trial.scores()
        ]
        members = [own[index] for index in non_dominated(_values(axes, own), directions)]
        sign, first = -1 if directions[0] == "maximize" else 1, axes[0].name
        members.sort(key=lambda trial: (sign * trial.scores()[first].value, trial.number))
        values = _values(axes, members)
        return cls(
            axes=tuple(axes),
            hypervolume=hypervolume(values, [axis.reference for axis in axes], directions),
            knee=members[knee(values, directions)].number if members else None,
            members=tuple(map(FrontMember.of, members)),
            trials=sum(trial.finished for trial in trials),
            failed=sum(trial.state is State.FAILED for trial in trials),
            proxies=agreements(axes, trials),
        )

    def pick(self, expression: str) -> int:
        """Return the number of the member that an expression chooses; see `choosing`.

        Raises:
            InputError: The front is empty, no member holds the limits, or it is no expression.
        """
        if self.knee is None:
            raise InputError("no trial is complete, so there is no front yet")
        if expression == "knee":
            return self.knee
        choice = parse_choice(expression, {axis.name: axis.direction for axis in self.axes})
        values = [
            {name: score.value for name, score in member.values.items()} for member in self.members
        ]
        index = choice.of(values)
        if index is None:
            raise InputError(
                "no member of the front holds the limits",
                where=f"pick {expression!r}",
                expected=choice.reachable(values),
            )
        return self.members[index].trial

    def best(self, objective: str) -> FrontMember:
        """Return the member with the best search value in an objective; of equals the first.

        Raises:
            KeyError: no such objective.
            ValueError: the front is empty.
        """
        direction = {axis.name: axis.direction for axis in self.axes}[objective]
        best = max if direction == "maximize" else min
        return best(self.members, key=lambda member: member.values[objective].value)

    def to_dict(self) -> dict[str, Any]:
        """Return the front as `front.json` and `search front --json` have it.

        `knee` is null for an empty front. `proxies` is left out where there are none.
        """
        proxies = {name: asdict(agreement) for name, agreement in self.proxies.items()}
        return {
            "objectives": [axis.name for axis in self.axes],
            "directions": {axis.name: axis.direction for axis in self.axes},
            "reference_point": {axis.name: axis.reference for axis in self.axes},
            "hypervolume": self.hypervolume,
            "knee": self.knee,
            "front": [member.to_dict() for member in self.members],
            "trials": self.trials,
            "failed": self.failed,
            **({"proxies": proxies} if proxies else {}),
        }


def _values(axes: Sequence[Axis], trials: Sequence[TrialRecord]) -> list[list[float]]:
    """Search values (trials, objectives)."""
    return [[trial.scores()[axis.name].value for axis in axes] for trial in trials]


def _scores(scores: Mapping[str, Score]) -> dict[str, dict[str, float]]:
    return {name: asdict(score) for name, score in scores.items()}
