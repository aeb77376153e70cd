"""What a search has come to, kept up trial by trial, against what all trials together tell."""

from __future__ import annotations

import random

import numpy as np
import pytest
from helpers.records import AXES, trial

from mergesearch.study import progress as module
from mergesearch.study.estimation.estimates import Estimates
from mergesearch.study.front import Front
from mergesearch.study.progress import SearchProgress
from mergesearch.study.records import RaceRecord, State, TrialRecord
from mergesearch.study.stopping import Reached


def trials_of(count: int) -> list[TrialRecord]:
    """Trials near a front; some failed, some were stopped, some are others again."""
    numbers = random.Random(1)
    found = []
    for number in range(count):
        first = numbers.random()
        kind = numbers.choice(["", "", "", "", "failed", "stopped", "again"])
        changes = {
            "failed": {"state": State.FAILED, "rungs": {}},
            "stopped": {"race": RaceRecord(1, 9, 0.1, checked=False, stopped=True)},
            "again": {"reused_from": 0},
        }.get(kind, {})
        second = numbers.uniform(0.25, 1.2 - first)
        found.append(trial(number, first, second, **changes))
    return found


def test_it_is_what_the_front_of_all_trials_tells() -> None:
    trials = trials_of(60)
    progress = SearchProgress(AXES)
    order = [*range(0, 60, 2), *range(1, 60, 2)]  # other workers are heard of later
    for count, number in enumerate(order, 1):
        progress.take(trials[number], 10)
        seen = sorted(order[:count])
        front = Front.of(AXES, [trials[number] for number in seen])
        newest = max((member.trial for member in front.members), default=-1)
        later = sum(number > newest for number in seen)
        expected = Reached(count, 10 * count, front.hypervolume, later)
        assert progress.reached(with_front=True) == expected


def test_a_trial_is_compared_with_the_members_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    members_of = module.members_of

    def counted(values, directions):
        sizes.append(len(values))
        return members_of(values, directions)

    monkeypatch.setattr(module, "members_of", counted)
    progress = SearchProgress(AXES)
    for number in range(300):
        progress.take(trial(number, 0.5 + number / 1000, 0.5 + number / 1000), 0)
    assert max(sizes) == 2


def test_a_trial_counts_once() -> None:
    progress = SearchProgress(AXES)
    for _ in range(2):
        progress.take(trial(3, 0.5, 0.5), 7)
    assert progress.reached(with_front=False) == Reached(1, 7)
    assert progress.reached(with_front=True).without_member == 0
    progress.take(trial(4, 0.5, 0.5), 7)
    progress.take(trial(3, 0.5, 0.5), 7)
    assert progress.reached(with_front=False) == Reached(2, 14)


def test_on_parts_of_the_items_the_values_are_what_is_estimated_by_now() -> None:
    values = np.array([[0.5, 0.5], [0.4, 0.4]])
    estimates = Estimates((0, 1), values, np.zeros((2, 2, 2)))
    progress = SearchProgress(AXES, lambda: estimates)
    progress.take(trial(0, 0.1, 0.9), 0)
    progress.take(trial(1, 0.9, 0.1), 0)
    reached = progress.reached(with_front=True)
    assert reached.hypervolume == pytest.approx(0.5 * 0.25)
    assert reached.without_member == 1


def test_a_trial_that_is_not_estimated_yet_has_its_own_value() -> None:
    estimates = Estimates((0,), np.array([[0.5, 0.5]]), np.zeros((2, 1, 1)))
    progress = SearchProgress(AXES, lambda: estimates)
    progress.take(trial(0, 0.1, 0.9), 0)
    progress.take(trial(1, 0.75, 0.75), 0)
    assert progress.reached(with_front=True).hypervolume == pytest.approx(0.75 * 0.5)
