"""Importances on trials whose objectives are known functions of the dimensions."""

from __future__ import annotations

import numpy as np
from helpers.records import AXES, measurement, trial
from optuna.distributions import FloatDistribution
from optuna.trial import FrozenTrial, create_trial

from mergesearch.objectives import Score
from mergesearch.study.importances import FEWEST, constant_objectives, importances
from mergesearch.study.records import TrialRecord

NAMES = ("a.weight", "b.weight", "b.density")


def made(count: int, reasoning: float | None = None) -> tuple[list[FrozenTrial], list[TrialRecord]]:
    """Trials whose instruction is that of `a`, and whose reasoning is mostly that of `b`."""
    places = np.random.default_rng(3).random((count, len(NAMES)))
    trials, records = [], []
    for number, (first, second, third) in enumerate(places):
        value = 0.8 * second + 0.2 * third if reasoning is None else reasoning
        trials.append(
            create_trial(
                params=dict(zip(NAMES, (first, second, third), strict=True)),
                distributions={name: FloatDistribution(0, 1) for name in NAMES},
                values=[first, value],
            )
        )
        scores = {
            "instruction": Score(first, 0.01, 100, 0),
            "reasoning": Score(value, 0.01, 100, 0),
        }
        records.append(trial(number, 0, 0, rungs={"search": measurement(scores)}))
    return trials, records


def test_the_dimension_that_decides_comes_first() -> None:
    found = importances(AXES, *made(30))
    assert list(found) == ["instruction", "reasoning"]
    assert next(iter(found["instruction"])) == "a.weight"
    assert found["instruction"]["a.weight"] > 0.8
    assert next(iter(found["reasoning"])) == "b.weight"
    assert sum(found["reasoning"].values()) <= 1.0 + 1e-9


def test_few_trials_and_constant_objectives_have_none() -> None:
    assert importances(AXES, *made(FEWEST - 1)) == {"instruction": {}, "reasoning": {}}
    trials, records = made(FEWEST, reasoning=0.5)
    found = importances(AXES, trials, records)
    assert (bool(found["instruction"]), found["reasoning"]) == (True, {})
    assert constant_objectives(AXES, records) == ["reasoning"]


def test_one_candidate_alone_is_not_constant() -> None:
    _, records = made(1)
    assert constant_objectives(AXES, records) == []
