"""Trials of another run among the observations."""

from __future__ import annotations

import numpy as np
import pytest

from mergesearch.study.records import Observation, State
from mergesearch.study.samplers.prior import DOUBT, FADE, with_prior
from mergesearch.study.warm_start import WarmStart

PRIOR = tuple(
    Observation({"x": place}, values=(place, 1.0 - place), standard_errors=(0.03, 0.04))
    for place in (0.0, 0.25, 0.5, 1.0)
)


def own(count: int, offset: float = 0.1, **changes: object) -> list[Observation]:
    return [
        Observation(
            {"x": place},
            values=(place + offset, 1.0 - place),
            standard_errors=(0.01,) * 2,
            **changes,
        )
        for place in np.linspace(0, 1, count)
    ]


def test_without_own_trials_the_others_stand_as_they_are_and_are_doubted() -> None:
    found = with_prior(PRIOR, [])
    assert [trial.values for trial in found] == [trial.values for trial in PRIOR]
    spread = np.std([0.0, 0.25, 0.5, 1.0])
    assert found[0].standard_errors == pytest.approx(np.hypot([0.03, 0.04], DOUBT * spread))


def test_they_are_moved_by_what_both_have_measured() -> None:
    """Both tried 0 and 1, where this run has 0.1 more of the first objective."""
    found = with_prior(PRIOR, own(2))
    assert found[1].values == pytest.approx((0.35, 0.75))
    assert [trial.parameters for trial in found[4:]] == [{"x": 0.0}, {"x": 1.0}]


def test_they_are_moved_by_the_means_where_nothing_was_measured_by_both() -> None:
    """The means are (0.3, 0.8) here, and (0.4375, 0.5625) there."""
    history = [
        Observation({"x": place}, values=values, standard_errors=(0.01, 0.01))
        for place, values in ((0.1, (0.2, 0.9)), (0.9, (0.4, 0.7)))
    ]
    found = with_prior(PRIOR, history)
    assert found[0].values == pytest.approx((-0.1375, 1.2375))
    assert found[3].values == pytest.approx((0.8625, 0.2375))


def test_trials_that_failed_or_run_move_nothing() -> None:
    others = [Observation({"x": 0.5}, State.FAILED), Observation({"x": 0.25}, State.RUNNING)]
    found = with_prior(PRIOR, [*others, *own(2)])
    assert found[1].values == pytest.approx((0.35, 0.75))
    assert found[4:] == [*others, *own(2)]


def test_they_are_doubted_by_a_quarter_of_their_spread_and_gone_after_forty_trials() -> None:
    assert (DOUBT, FADE) == (0.25, 40)


def test_they_fade_with_every_own_trial() -> None:
    lengths = [
        len(with_prior(PRIOR, own(count))) - count for count in (0, FADE // 2, FADE - 1, FADE)
    ]
    assert lengths == [4, 2, 1, 0]
    doubts = [with_prior(PRIOR, own(count))[0].standard_errors[0] for count in (0, 10, 30)]
    assert doubts == sorted(doubts)
    assert doubts[0] < doubts[2]


def test_joint_errors_stay_joint_and_the_others_are_independent() -> None:
    vectors = [np.array([0.01, 0.0]), np.array([0.01, 0.005])]
    history = [
        Observation(
            {"x": 0.0}, values=(0.1, 0.9), standard_errors=(0.01, 0.01), errors=[vector] * 2
        )
        for vector in vectors
    ]
    found = with_prior(PRIOR, history)
    errors = np.array([trial.errors[0] for trial in found])
    covariance = errors @ errors.T
    assert covariance[4:, 4:] == pytest.approx(np.array(vectors) @ np.array(vectors).T)
    assert np.diag(covariance)[:4] == pytest.approx(
        [trial.standard_errors[0] ** 2 for trial in found[:4]]
    )
    assert covariance[:4, 4:] == pytest.approx(np.zeros((4, 2)))


def test_a_failed_trial_among_joint_errors_has_none() -> None:
    vectors = [np.array([0.01, 0.002])] * 2
    measured = Observation(
        {"x": 0.0}, values=(0.1, 0.9), standard_errors=(0.01, 0.01), errors=vectors
    )
    found = with_prior(PRIOR, [Observation({"x": 0.7}, State.FAILED), measured])
    assert [len(trial.errors) for trial in found] == [2, 2, 2, 2, 0, 2]
    assert {len(error) for trial in found for error in trial.errors} == {6}


def test_a_warm_start_is_read_back_as_it_was_kept() -> None:
    warm = WarmStart("other", ("x",), {}, ("y",), ({"x": 0.5, "y": 1.0},), PRIOR)
    assert WarmStart.from_dict(warm.to_dict()) == warm
