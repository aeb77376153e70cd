"""The Pareto front of a run: by its search items, and then confirmed on items it never saw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from mergesearch.errors import InputError
from mergesearch.objectives import Rung, Score, scores_to_dict
from mergesearch.study.choosing import parse_choice
from mergesearch.study.confirming import ConfirmedFront, ConfirmedMember
from mergesearch.study.pareto import hypervolume, knee, non_dominated, sign_of
from mergesearch.study.proxies import Agreement, agreements
from mergesearch.study.racing import Racing
from mergesearch.study.records import Axis, State, TrialRecord


@dataclass(frozen=True)
class FrontMember:
    """A complete trial that no other dominates.

    Attributes:
        trial: Number of the trial.
        values: Score of each objective on the search items.
        validated: Score of each objective on the validate items; empty before they were scored.
        shares: Effective share of each parent, summing to 1.
        words: The recipe in words.
        digest: SHA-256 (hex) of the GGUF.
        recipe: Recipe document that rebuilds the GGUF.
        confirmed: What the front is confirmed by; None in the front of the search.
    """

    trial: int
    values: Mapping[str, Score]
    validated: Mapping[str, Score]
    shares: Mapping[str, float]
    words: tuple[str, ...]
    digest: str
    recipe: Mapping[str, Any]
    confirmed: ConfirmedMember | None = None

    @classmethod
    def of(cls, trial: TrialRecord, confirmed: ConfirmedMember | None = None) -> Self:
        """Return the member that a trial is."""
        return cls(
            trial=trial.number,
            values=trial.scores(),
            validated=trial.scores(Rung.VALIDATE),
            shares=trial.shares,
            words=trial.words,
            digest=trial.candidate_digest or "",
            recipe=trial.recipe,
            confirmed=confirmed,
        )

    @property
    def known(self) -> Mapping[str, Score]:
        """The best that is known of each objective: what is confirmed, else the search's score."""
        return self.values if self.confirmed is None else self.confirmed.values

    def to_dict(self) -> dict[str, Any]:
        """Return the member as `front.json` has it; `validated` is null before it was scored.

        Only members of a confirmed front have `confirmed`, `chance` and `twins`.
        """
        return {
            "trial": self.trial,
            "values": scores_to_dict(self.values),
            "validated": scores_to_dict(self.validated) or None,
            "shares": dict(self.shares),
            "words": list(self.words),
            "digest": self.digest,
            "recipe": dict(self.recipe),
            **(self.confirmed.facts() if self.confirmed else {}),
        }


@dataclass(frozen=True)
class Front:
    """The Pareto front of a run as it stands: confirmed, once that is known.

    Attributes:
        axes: Objectives in the order of the objectives file.
        hypervolume: Hypervolume above the reference point of the best that is known of the members.
        knee: Number of the trial at the front's knee, None for an empty front.
        members: Members of the front; the best in the first objective comes first, of equals the
            earlier trial.
        trials: Number of finished trials.
        failed: Number of failed trials among them.
        proxies: Agreement of proxy and metric for each objective that has a proxy.
        racing: What racing brought; None where trials are scored on all items at once.
        dropped: Numbers of the trials that were scored on validate items and fell off the front.
        search: Front by the search items alone, where this one is confirmed; else None.
    """

    axes: tuple[Axis, ...]
    hypervolume: float
    knee: int | None
    members: tuple[FrontMember, ...]
    trials: int
    failed: int
    proxies: Mapping[str, Agreement]
    racing: Racing | None = None
    dropped: tuple[int, ...] = ()
    search: Front | None = None

    @classmethod
    def of(
        cls,
        axes: Sequence[Axis],
        trials: Sequence[TrialRecord],
        confirmed: ConfirmedFront | None = None,
    ) -> Self:
        """Return the front of a run's trials.

        Where there are proxies, members are among the promoted trials, and where there is a race,
        among those that it did not stop. A trial that reused another's scores is that other one
        again, so it is left out.

        Args:
            axes: Objectives in the order of the objectives file.
            trials: Trials of the run, by number.
            confirmed: What the validate items tell, once it is known.
        """
        directions = [axis.direction for axis in axes]
        own = [trial for trial in trials if may_be_member(trial)]
        members = [own[index] for index in non_dominated(_values(axes, own), directions)]
        sign, first = sign_of(directions[0]), axes[0].name
        members.sort(key=lambda trial: (-sign * trial.scores()[first].value, trial.number))
        values = _values(axes, members)
        searched = cls(
            axes=tuple(axes),
            hypervolume=hypervolume(values, [axis.reference for axis in axes], directions),
            knee=members[knee(values, directions)].number if members else None,
            members=tuple(map(FrontMember.of, members)),
            trials=sum(trial.finished for trial in trials),
            failed=sum(trial.state is State.FAILED for trial in trials),
            proxies=agreements(axes, trials),
            racing=Racing.of(trials, {trial.number for trial in members}),
        )
        return searched if confirmed is None else searched._confirmed(confirmed, trials)

    def _confirmed(self, confirmed: ConfirmedFront, trials: Sequence[TrialRecord]) -> Self:
        return replace(
            self,
            hypervolume=confirmed.hypervolume,
            knee=confirmed.knee,
            members=tuple(
                FrontMember.of(trials[member.trial], member) for member in confirmed.members
            ),
            dropped=confirmed.dropped,
            search=self,
        )

    def pick(self, expression: str) -> int:
        """Return the number of the member that an expression chooses; see `choosing`.

        Raises:
            InputError: The front is empty, no member holds the limits, or it is not an expression.
        """
        if self.knee is None:
            raise InputError("no trial is complete, so there is no front yet")
        if expression == "knee":
            return self.knee
        choice = parse_choice(expression, {axis.name: axis.direction for axis in self.axes})
        values = [
            {name: score.value for name, score in member.known.items()} for member in self.members
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
        """Return the member with the best value in an objective; of equals the first.

        Raises:
            KeyError: No such objective.
            ValueError: The front is empty.
        """
        sign = {axis.name: sign_of(axis.direction) for axis in self.axes}[objective]
        return max(self.members, key=lambda member: sign * member.known[objective].value)

    def to_dict(self) -> dict[str, Any]:
        """Return the front as `front.json` and `search front --json` have it.

        `knee` is null for an empty front. `proxies`, `racing`, and of a confirmed front `dropped`
        and `search`, are left out where there are none.
        """
        proxies = {name: asdict(agreement) for name, agreement in self.proxies.items()}
        return {
            "objectives": [axis.name for axis in self.axes],
            "directions": {axis.name: axis.direction for axis in self.axes},
            "reference_point": {axis.name: axis.reference for axis in self.axes},
            **self._members(),
            "trials": self.trials,
            "failed": self.failed,
            **({"proxies": proxies} if proxies else {}),
            **({"racing": asdict(self.racing)} if self.racing else {}),
            **({"dropped": list(self.dropped)} if self.search else {}),
            **({"search": self.search._members()} if self.search else {}),
        }

    def _members(self) -> dict[str, Any]:
        return {
            "hypervolume": self.hypervolume,
            "knee": self.knee,
            "front": [member.to_dict() for member in self.members],
        }


def may_be_member(trial: TrialRecord) -> bool:
    """Whether a trial belongs to the front of the search unless another dominates it."""
    is_own = trial.state is State.COMPLETE and trial.reused_from is None and trial.scores()
    return bool(is_own) and (trial.race is None or not trial.race.stopped)


def search_values(axes: Sequence[Axis], trial: TrialRecord) -> list[float]:
    """Return the values of a trial on the search items, in the order of the axes."""
    scores = trial.scores()
    return [scores[axis.name].value for axis in axes]


def _values(axes: Sequence[Axis], trials: Sequence[TrialRecord]) -> list[list[float]]:
    """Search values (trials, objectives)."""
    return [search_values(axes, trial) for trial in trials]
