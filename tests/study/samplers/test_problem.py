"""What a sampler is asked, and what it is not told."""

from __future__ import annotations

import numpy as np
import pytest

from mergesearch.study.records import Observation, State
from mergesearch.study.samplers.problem import (
    STARTUP,
    Problem,
    lagged,
    n_complete,
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
