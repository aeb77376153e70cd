"""What racing brought: what it saved, and how often it would have been wrong."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Self

from mergesearch.objectives import Rung
from mergesearch.study.parts import PARTS
from mergesearch.study.racing import THRESHOLD
from mergesearch.study.records import RaceRecord, State, TrialRecord


@dataclass(frozen=True)
class Racing:
    """What it brought to score trials on growing parts of the search items.

    Attributes:
        stopped: Number of trials that were stopped before the last part.
        tokens: Number of tokens that all trials took.
        tokens_saved: Number of tokens, about, that the parts left out would have taken.
        seconds_saved: Seconds of scoring, about, that these would have taken.
        checked: Number of trials that would have been stopped, but had been drawn beforehand to be
            scored on all parts.
        wrong: Number of those that are members of the front of the search nevertheless.
    """

    stopped: int
    tokens: int
    tokens_saved: int
    seconds_saved: float
    checked: int
    wrong: int

    @classmethod
    def of(cls, trials: Sequence[TrialRecord], members: Collection[int]) -> Self | None:
        """Return what racing brought to a run, None where its trials are scored on all items.

        Args:
            members: Numbers of the members of its front.
        """
        raced = [
            (trial, trial.race)
            for trial in trials
            if trial.state is State.COMPLETE and trial.race is not None
        ]
        if not raced:
            return None
        stopped = [(trial, race) for trial, race in raced if race.stopped]
        checked = [
            trial
            for trial, race in raced
            if race.checked and race.chance is not None and race.chance < THRESHOLD
        ]
        seconds = [
            trial.rungs[Rung.SEARCH].score_seconds * _left_out(race) for trial, race in stopped
        ]
        return cls(
            stopped=len(stopped),
            tokens=sum(race.tokens for _, race in raced),
            tokens_saved=round(sum(race.tokens * _left_out(race) for _, race in stopped)),
            seconds_saved=sum(seconds),
            checked=len(checked),
            wrong=sum(trial.number in members for trial in checked),
        )


def _left_out(race: RaceRecord) -> float:
    """How much of what a trial took it would have taken in addition."""
    return PARTS / race.parts - 1
