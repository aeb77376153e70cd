"""Points that fill a space, and when a model takes over from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from scipy.stats import qmc

from mergesearch.space import Dimension
from mergesearch.study.records import Observation, State
from mergesearch.study.samplers.problem import Problem, Proposal, trial_seed
from mergesearch.study.samplers.sobol import after_startup, sobol, sobol_point

DIMENSIONS = (
    Dimension("a", 0.0, 1.5),
    Dimension("b", -1.0, 1.0),
    Dimension("method", choices=("linear", "ties", "slerp")),
)
STARTS: Sequence[dict[str, Any]] = ({"a": 1.0, "b": 0.0, "method": "linear"}, {"a": 0.25})


def problem(dimensions: Sequence[Dimension] = DIMENSIONS, **changes: Any) -> Problem:
    parts: dict[str, Any] = {"starts": STARTS, "seed": 2, "reference": [0.0]} | changes
    return Problem(dimensions=dimensions, directions=["maximize"], **parts)


def complete(count: int) -> list[Observation]:
    return [Observation({"a": 0.1 * place}, values=(0.5,)) for place in range(count)]


def test_points_are_scipys_sequence_after_the_starts() -> None:
    engine = qmc.Sobol(3, scramble=True, rng=trial_seed(2, 2**31))
    expected = engine.random(8)
    points = [sobol_point(problem(), number) for number in range(2, 10)]
    np.testing.assert_allclose([point["a"] / 1.5 for point in points], expected[:, 0])
    np.testing.assert_allclose([(point["b"] + 1) / 2 for point in points], expected[:, 1])
    names = ("linear", "ties", "slerp")
    assert [point["method"] for point in points] == [names[int(3 * u)] for u in expected[:, 2]]


def test_what_a_start_leaves_out_is_that_of_the_first_point() -> None:
    first = sobol_point(problem(), 2)
    assert sobol(problem(), [], 0) == Proposal(STARTS[0], {})
    assert sobol(problem(), [], 1) == Proposal(first | {"a": 0.25}, {})
    assert sobol(problem(), [], 2) == Proposal(first, {})


@pytest.mark.parametrize(
    ("single", "value"),
    [(Dimension("m", choices=("linear",)), "linear"), (Dimension("m", 0.5, 0.5), 0.5)],
)
def test_a_dimension_with_one_value_takes_it_and_no_place_in_the_sequence(
    single: Dimension, value: Any
) -> None:
    assert sobol_point(problem([single]), 3) == {"m": value}
    beside = sobol_point(problem([DIMENSIONS[0], single]), 3)
    assert beside == {"a": sobol_point(problem(DIMENSIONS[:1]), 3)["a"], "m": value}


# -- when a model proposes -------------------------------------------------------------------------


def asked(history: Sequence[Observation], number: int, **changes: Any) -> list[Observation] | None:
    """What a sampler with a model is given, None where a Sobol point takes its place."""
    seen: list[list[Observation]] = []

    def sample(where: Problem, known: Sequence[Observation], at: int) -> Proposal:
        assert at == number
        seen.append(list(known))
        return Proposal({"a": 9.0}, {"mine": True})

    where = problem(**changes)
    proposal = after_startup(sample)(where, history, number)
    expected = Proposal({"a": 9.0}, {"mine": True}) if seen else sobol(where, history, number)
    assert proposal == expected
    return seen[0] if seen else None


def test_a_model_takes_over_after_ten_complete_trials() -> None:
    assert asked(complete(9), 9) is None
    assert asked(complete(10), 10) == complete(10)


def test_trials_that_failed_or_run_do_not_count() -> None:
    others = [Observation({}, State.FAILED), Observation({}, State.RUNNING)]
    assert asked([*complete(9), *others], 11) is None


def test_a_start_is_never_a_models() -> None:
    assert asked(complete(12), 1) is None
    assert asked(complete(12), 2) == complete(12)


def test_trials_of_another_run_count() -> None:
    prior = [
        Observation({"a": 0.1 * place}, values=(0.5,), standard_errors=(0.1,)) for place in range(8)
    ]
    known = asked(complete(2), 2, prior=prior)
    assert known is not None
    assert len(known) == 10
    assert asked(complete(1), 2, prior=prior) is None
