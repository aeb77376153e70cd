"""Proposals: pure, inside the space, the starts first, Sobol points that fill the space."""

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution

from mergesearch.errors import InputError
from mergesearch.space import Dimension
from mergesearch.study.records import Observation, State
from mergesearch.study.samplers import SAMPLERS, check_sampler, chosen_sampler, propose
from mergesearch.study.samplers.from_optuna import distributions
from mergesearch.study.samplers.problem import STARTUP, Problem, Proposal, lagged
from mergesearch.study.samplers.sobol import sobol_point

DIMENSIONS = (
    Dimension("a", 0.0, 1.5),
    Dimension("b", -1.0, 1.0),
    Dimension("method", choices=("linear", "ties", "slerp")),
)
START = {"a": 1.0, "b": 0.0, "method": "linear"}


def problem(seed: int = 0, **changes: Any) -> Problem:
    parts = {
        "dimensions": DIMENSIONS,
        "directions": ["maximize", "minimize"],
        "starts": [START, START | {"b": 0.5}],
        "seed": seed,
        "reference": [-4.0, 8.0],
    }
    return Problem(**(parts | changes))


def finished(proposal: Proposal, values: list[float] | None) -> Observation:
    state = State.FAILED if values is None else State.COMPLETE
    errors = (0.05,) * len(values or ())
    return Observation(
        proposal.parameters, state, tuple(values or ()), errors, notes=proposal.notes
    )


def history(name: str, length: int, where: Problem, fail_at: int = -1) -> list[Observation]:
    trials: list[Observation] = []
    for number in range(length):
        proposal = propose(name, where, trials, number)
        a, b = proposal.parameters["a"], proposal.parameters["b"]
        values = None if number == fail_at else [-((a - 1) ** 2) - b**2, a + (b - 1) ** 2]
        trials.append(finished(proposal, values[: len(where.directions)] if values else None))
    return trials


SEEDED = problem(seed=5)
ONE_PEAK = problem(directions=["maximize"], reference=[-4.0], starts=[])  # at a = 1, b = 0


@cache
def seeded(name: str) -> list[Observation]:
    """A history of `SEEDED`, with one failure."""
    return history(name, 22 if name.startswith("nsga") else STARTUP + 4, SEEDED, fail_at=4)


@cache
def with_one_peak(name: str) -> list[Observation]:
    """A history of `ONE_PEAK`."""
    return history(name, STARTUP + 8, ONE_PEAK)


def test_dimensions_become_distributions_in_order() -> None:
    made = distributions(DIMENSIONS)
    assert list(made) == ["a", "b", "method"]
    assert made["a"] == FloatDistribution(0.0, 1.5)
    assert made["method"] == CategoricalDistribution(("linear", "ties", "slerp"))


def test_an_unknown_sampler_is_refused_with_the_known_ones() -> None:
    known = "auto, gp, noisy-gp, tpe, nsga2, nsga3, cmaes, sobol, random"
    with pytest.raises(InputError, match=known):
        check_sampler("grid")


def test_auto_is_the_noisy_gp() -> None:
    assert chosen_sampler("auto") == "noisy-gp"
    assert chosen_sampler("sobol") == "sobol"


@pytest.mark.parametrize("name", SAMPLERS)
def test_proposals_are_pure_and_inside_the_space(name: str) -> None:
    trials = seeded(name)
    length = len(trials)
    proposals = [propose(name, SEEDED, trials, length) for _ in range(2)]
    assert proposals[0] == proposals[1]
    assert proposals[0] != propose(name, problem(seed=6), trials, length)
    for trial in trials:
        assert 0 <= trial.parameters["a"] <= 1.5
        assert -1 <= trial.parameters["b"] <= 1
        assert trial.parameters["method"] in ("linear", "ties", "slerp")
    assert len({tuple(trial.parameters.values()) for trial in trials}) == length


@pytest.mark.parametrize("name", SAMPLERS)
def test_the_starts_come_first_and_what_they_leave_out_is_filled(name: str) -> None:
    where = problem(starts=[START, {"a": 0.25}])
    first = propose(name, where, [], 0)
    assert first.parameters == START
    second = propose(name, where, [finished(first, [0.0, 0.0])], 1)
    assert second.parameters["a"] == 0.25
    assert set(second.parameters) == {"a", "b", "method"}


@pytest.mark.parametrize("name", ["gp", "noisy-gp", "tpe"])
def test_models_learn_from_the_history(name: str) -> None:
    """Proposals come nearer to the peak than the points before them."""
    trials = with_one_peak(name)
    best = [max(t.values[0] for t in trials[:n]) for n in (STARTUP, STARTUP + 8)]
    assert best[1] > best[0]


@pytest.mark.parametrize("name", SAMPLERS)
def test_one_objective_works_too(name: str) -> None:
    where = problem(directions=["minimize"], reference=[4.0])
    assert len(history(name, STARTUP + 2, where)) == STARTUP + 2


def test_the_first_generation_of_nsga2_holds_the_starts() -> None:
    trials = history("nsga2", 42, problem())
    generations = [trial.notes["NSGAIISampler:generation"] for trial in trials]
    assert generations == [0] * 20 + [1] * 20 + [2] * 2


@pytest.mark.parametrize("name", ["gp", "noisy-gp", "tpe"])
def test_a_point_that_fails_is_not_proposed_again_and_again(name: str) -> None:
    where = problem(directions=["maximize"], reference=[-4.0])
    trials: list[Observation] = []
    failed = 0
    for number in range(STARTUP + 10):
        proposal = propose(name, where, trials, number)
        a, b = proposal.parameters["a"], proposal.parameters["b"]
        fails = a > 1.2 and number >= STARTUP  # where the objective would be best
        failed += fails
        trials.append(finished(proposal, None if fails else [a - b**2]))
    assert failed <= 5


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_lagging_proposal_knows_where_the_last_trial_is_but_not_what_it_gave(name: str) -> None:
    trials = seeded(name)
    length = len(trials)
    proposal = propose(name, SEEDED, lagged(trials), length)
    for values in ([9.0, -9.0], None):
        last = finished(Proposal(trials[-1].parameters, trials[-1].notes), values)
        assert propose(name, SEEDED, lagged([*trials[:-1], last]), length) == proposal
    assert 0 <= proposal.parameters["a"] <= 1.5
    assert proposal.parameters != trials[-1].parameters
    assert set(proposal.parameters) == {"a", "b", "method"}


def test_a_lagged_history_is_the_same_but_for_its_end() -> None:
    where = problem()
    trials = history("nsga2", 3, where)
    turned = lagged(trials)
    assert turned[:2] == trials[:2]
    assert (turned[2].state, turned[2].values) == (State.RUNNING, ())
    assert turned[2].parameters == trials[2].parameters
    assert turned[2].notes == {"NSGAIISampler:generation": 0}
    assert lagged([]) == []


@pytest.mark.parametrize("name", ["gp", "noisy-gp", "tpe"])
def test_models_allow_for_a_trial_that_runs(name: str) -> None:
    """Knowing that a point is being measured, they propose another than without it."""
    where = problem(directions=["maximize"], reference=[-4.0])
    trials = history(name, STARTUP + 8, where)
    known = propose(name, where, lagged(trials), len(trials))
    unknown = propose(name, where, trials[:-1], len(trials))
    assert known != unknown


def test_a_sampler_that_fails_numerically_is_replaced_for_one_proposal(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def singular(*arguments: Any) -> Proposal:
        raise np.linalg.LinAlgError("Singular matrix")

    monkeypatch.setitem(SAMPLERS, "gp", singular)
    where = problem()
    assert propose("gp", where, [], 5).parameters == sobol_point(where, 5)
    assert "gp failed for trial 5, a Sobol point takes its place: Singular matrix" in caplog.text


def test_correlated_errors_are_taken_where_they_are_known() -> None:
    """An error that all trials share changes no proposal much; independent ones of its size do."""
    trials = with_one_peak("noisy-gp")[: STARTUP + 2]
    shared = [
        replace(t, errors=[np.array([1.0, *np.eye(12)[n] * 0.05])]) for n, t in enumerate(trials)
    ]
    vague = [replace(t, standard_errors=(1.0,)) for t in trials]
    known = propose("noisy-gp", ONE_PEAK, trials, 12).parameters
    near, far = (propose("noisy-gp", ONE_PEAK, other, 12).parameters for other in (shared, vague))
    assert abs(known["a"] - near["a"]) + abs(known["b"] - near["b"]) < 0.2
    assert known != far


def test_every_other_proposal_of_a_long_search_looks_for_what_may_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[bool] = []

    def remember(*_: object, cautious: bool) -> np.ndarray:
        asked.append(cautious)
        return np.zeros(3)

    monkeypatch.setattr("mergesearch.study.samplers.noisy.next_point", remember)
    trials = history("sobol", STARTUP, problem())
    for number in (STARTUP, 23, 24, 25, 26, 27):
        propose("noisy-gp", problem(), trials, number)
    assert asked == [True, True, True, False, True, False]
