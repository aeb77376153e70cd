"""What a search knows of its trials, as it goes on."""

from __future__ import annotations

from typing import Any, cast

from optuna.distributions import FloatDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from mergesearch.study.history import History
from mergesearch.study.trials import Trials


class Source:
    """Trials that the test changes."""

    def __init__(self) -> None:
        self.trials: list[FrozenTrial] = []

    def all(self) -> list[FrozenTrial]:
        return [*self.trials]

    def put(self, number: int, state: TrialState, value: float | None = None, **attrs: Any) -> None:
        trial = create_trial(state=state, value=value, user_attrs=attrs)
        trial.number = number
        self.trials[number : number + 1] = [trial]


def test_trials_are_taken_in_once_they_are_complete() -> None:
    source = Source()
    source.put(0, TrialState.COMPLETE, 0.5, recipe_digest="r0", digest="c0")
    source.put(1, TrialState.RUNNING, recipe_digest="r1")
    history = History(cast(Trials, source))
    assert (history.n_finished, history.values) == (1, [[0.5]])
    assert [trial.number for trial in history.unfinished()] == [1]
    assert history.with_recipe("r1") is None

    source.put(1, TrialState.COMPLETE, 0.25, recipe_digest="r1", digest="c1")
    source.put(2, TrialState.FAIL, recipe_digest="r2")
    history.update()
    history.update()
    assert (history.n_finished, history.values) == (3, [[0.5], [0.25]])
    assert history.unfinished() == []
    assert history.with_recipe("r1") is history.with_candidate("c1") is source.trials[1]
    assert history.with_recipe("r2") is None


def test_what_was_measured_is_known_by_the_trial_that_measured_it() -> None:
    source = Source()
    source.put(0, TrialState.COMPLETE, 0.5, recipe_digest="r", digest="c")
    source.put(1, TrialState.COMPLETE, 0.5, recipe_digest="r", digest="c", reused_from=0)
    history = History(cast(Trials, source))
    assert len(history.values) == 2
    assert history.with_recipe("r") is history.with_candidate("c") is source.trials[0]


def test_equal_distributions_are_kept_once() -> None:
    source = Source()
    for number in range(3):
        trial = create_trial(
            state=TrialState.COMPLETE,
            value=0.5,
            params={"weight": 0.1 * number},
            distributions={"weight": FloatDistribution(0.0, 1.0 if number < 2 else 1.5)},
            user_attrs={"recipe_digest": f"r{number}", "digest": f"c{number}"},
        )
        trial.number = number
        source.trials.append(trial)
    first, second, third = History(cast(Trials, source)).trials
    assert first.distributions is second.distributions
    assert third.distributions == {"weight": FloatDistribution(0.0, 1.5)}
    assert [trial.params["weight"] for trial in (first, second, third)] == [0.0, 0.1, 0.2]
    assert second.user_attrs == {"recipe_digest": "r1", "digest": "c1"}
