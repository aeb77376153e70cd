"""What a sampler is asked, and what it is not told."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from mergesearch.study.records import Observation, State
from mergesearch.study.samplers.problem import (
    STARTUP,
    Problem,
    lagged,
    n_complete,
    parameters_of,
    point_of,
    running,
    trial_seed,
)

MEASURED = Observation({"a": 1.0}, State.COMPLETE, (0.5,), (0.05,), [np.ones(1)], {"generation": 3})


def test_a_model_needs_ten_complete_trials() -> None:
    assert STARTUP == 10


def test_without_another_run_all_dimensions_matter_alike() -> None:
    problem = Problem([], ["maximize"], [], 0, [0.0])
    assert problem.prior == ()
    assert problem.relevance() == {}


def test_a_trial_that_runs_has_its_parameters_and_notes_and_no_values() -> None:
    assert running(MEASURED) == Observation({"a": 1.0}, State.RUNNING, notes={"generation": 3})


def test_a_lagged_history_is_the_same_but_for_its_end() -> None:
    first, second, third = (Observation({"a": place}) for place in (0.0, 0.5, 1.0))
    assert lagged([first, second, third]) == [first, second, running(third)]
    assert lagged([third]) == [running(third)]
    assert lagged([]) == []


@pytest.mark.parametrize("pair", [(0, 0), (3, 4), (7, 2**31)])
def test_the_seed_of_a_trial_is_numpys_of_both_numbers(pair: tuple[int, int]) -> None:
    expected = int(np.random.SeedSequence(list(pair)).generate_state(2)[0])
    assert trial_seed(*pair) == expected
    assert 0 <= expected < 2**32


def test_seeds_differ_by_seed_and_number() -> None:
    assert len({trial_seed(seed, number) for seed in range(20) for number in range(20)}) == 400


def test_failed_and_running_trials_are_not_complete() -> None:
    failed = Observation({}, State.FAILED)
    history = [MEASURED, failed, running(MEASURED), failed, Observation({})]
    assert n_complete(history) == 2
    assert n_complete([]) == 0


# -- parameters as points --------------------------------------------------------------------------

DIMENSIONS = [
    SimpleNamespace(name="method", low=0.0, high=0.0, choices=("linear", "ties", None)),
    SimpleNamespace(name="weight", low=-0.5, high=1.5, choices=()),
    SimpleNamespace(name="fixed", low=2.0, high=2.0, choices=()),
]


def test_a_point_holds_places_and_indices():
    point = point_of(DIMENSIONS, {"method": None, "weight": 1.0, "fixed": 2.0})
    assert point.tolist() == [2.0, 0.75, 0.0]


@pytest.mark.parametrize("method", ["linear", "ties", None])
def test_parameters_come_back(method):
    parameters = {"method": method, "weight": 0.25, "fixed": 2.0}
    assert parameters_of(DIMENSIONS, point_of(DIMENSIONS, parameters)) == parameters


def test_a_place_past_the_end_is_the_end():
    assert parameters_of(DIMENSIONS, [0.0, 1.0000001, 0.0])["weight"] == 1.5
