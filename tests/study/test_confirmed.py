"""The confirmed front of finalists whose values and errors are given."""

import numpy as np
import pytest

from mergesearch.objectives import Score
from mergesearch.study.confirmed import ConfirmedFront
from mergesearch.study.estimation.estimates import Estimates
from mergesearch.study.records import Axis

AXES = [Axis("a", "maximize", 0.0), Axis("b", "maximize", 0.0)]


def confirmed(values, error):
    trials = tuple(range(len(values)))
    covariances = np.stack([error**2 * np.eye(len(values))] * 2)
    scores = {axis.name: Score(0.5, error, 100, 0) for axis in AXES}
    return ConfirmedFront.of(
        AXES, Estimates(trials, np.array(values), covariances), dict.fromkeys(trials, scores), 0
    )


def test_what_is_surely_dominated_falls_off():
    front = confirmed([[0.9, 0.1], [0.5, 0.5], [0.4, 0.4], [0.1, 0.9]], 0.01)
    assert [member.trial for member in front.members] == [0, 1, 3]
    assert front.dropped == (2,)


def test_members_that_cannot_be_told_apart_are_one():
    front = confirmed([[0.9, 0.1], [0.51, 0.49], [0.5, 0.5], [0.1, 0.9]], 0.02)
    assert [member.trial for member in front.members] in ([0, 1, 3], [0, 2, 3])
    assert sorted(len(member.twins) for member in front.members) == [0, 0, 1]


def test_what_another_nearly_dominates_falls_off():
    """Trial 2 has surely less of b than trial 1, and hardly more of a."""
    front = confirmed([[0.9, 0.1], [0.5, 0.6], [0.502, 0.5], [0.1, 0.9]], 0.01)
    assert [member.trial for member in front.members] == [0, 1, 3]
    assert front.dropped == (2,)
    assert front.knee == 1
    assert front.hypervolume == pytest.approx(0.9 * 0.1 + 0.5 * 0.5 + 0.1 * 0.3)


def test_the_best_in_an_objective_stays():
    front = confirmed([[0.502, 0.3], [0.5, 0.6], [0.1, 0.9]], 0.01)
    assert [member.trial for member in front.members] == [0, 1, 2]


def test_the_document_gives_the_front_back():
    front = confirmed([[0.9, 0.1], [0.5, 0.5], [0.1, 0.9]], 0.01)
    assert ConfirmedFront.from_dict(front.to_dict()) == front
