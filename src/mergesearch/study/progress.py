"""What a search has come to, kept up trial by trial: none costs more for those before it."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence

from mergesearch.study.estimation.estimates import Estimates
from mergesearch.study.front import may_be_member, search_values
from mergesearch.study.pareto import hypervolume, members_of
from mergesearch.study.records import Axis, TrialRecord
from mergesearch.study.stopping import Reached


class SearchProgress:
    """What the finished trials of a search have come to.

    Args:
        axes: Objectives in the order of the objectives file.
        estimates: Function that gives what all results tell of every trial by now, where trials
            are scored on parts of the items; None where the values of a trial never change.
    """

    def __init__(
        self, axes: Sequence[Axis], estimates: Callable[[], Estimates] | None = None
    ) -> None:
        self._axes = axes
        self._directions = [axis.direction for axis in axes]
        self._estimates = estimates
        self._finished: list[int] = []  # ascending
        self._values: dict[int, Sequence[float]] = {}  # of trials that may yet be members
        self._tokens = 0

    def take(self, trial: TrialRecord, tokens: int) -> None:
        """Take in a finished trial, and the tokens that it took; one that is known is left out."""
        place = bisect_left(self._finished, trial.number)
        if self._finished[place : place + 1] == [trial.number]:
            return
        self._finished.insert(place, trial.number)
        self._tokens += tokens
        if may_be_member(trial):
            self._values[trial.number] = search_values(self._axes, trial)
            if self._estimates is None:
                self._values = members_of(self._values, self._directions)

    def reached(self, *, with_front: bool) -> Reached:
        """Return what the search has come to."""
        if not with_front:
            return Reached(len(self._finished), self._tokens)
        members = members_of(self._current_values(), self._directions)
        newest = max(members, default=-1)
        return Reached(
            len(self._finished),
            self._tokens,
            hypervolume(
                list(members.values()), [axis.reference for axis in self._axes], self._directions
            ),
            len(self._finished) - bisect_right(self._finished, newest),
        )

    def _current_values(self) -> dict[int, Sequence[float]]:
        if self._estimates is None:
            return self._values
        estimates = self._estimates()
        return {
            number: estimates.values[estimates.rows[number]] if number in estimates.rows else value
            for number, value in self._values.items()
        }
