"""Proxies in a search: specialists, promotion, and how far the proxies can be trusted."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from helpers import study_fakes
from helpers.study_fakes import Bench, FakeCandidate

from mergesearch.errors import Interrupted, ObjectivesError
from mergesearch.objectives import ItemResult, MetricValue, Objectives, Score, TaskResult
from mergesearch.recipe import Recipe
from mergesearch.study.front import Front
from mergesearch.study.proxies import agreements, candidates, correct_answers, promotes
from mergesearch.study.records import Axis, Measurement, State, TrialRecord
from mergesearch.study.settings import StudySettings

pytestmark = pytest.mark.whole

OBJECTIVES = """
objectives:
  instruction:
    proxy: likelihood
    tasks: [{task: words, metric: exact_match}]
  reasoning: {reference: 0.25, tasks: [{task: holders, metric: acc}]}
"""
NOW = datetime(2030, 1, 1, tzinfo=UTC)
AXES = (Axis("instruction", "maximize", 0.0, True), Axis("reasoning", "maximize", 0.25))
PARENTS = {
    ref: Recipe.from_dict(
        {"merge_method": "linear", "models": [{"model": ref, "parameters": {"weight": 1.0}}]}
    )
    for ref in ("demo:base", "demo:instruct", "demo:reason")
}


class ProxyBench(Bench):
    """A bench with a proxy: the logarithm of the metric, so that both agree in rank."""

    references: Any = None

    def use_references(self, references: Any) -> None:
        self.references = references

    def score(
        self,
        candidate: FakeCandidate,
        rung: str,
        on_progress: Callable[[Any], None],
        items: Any = None,
    ) -> dict[str, TaskResult]:
        if len(candidate.recipe.last.inputs) == 1:  # a parent as it is
            self.scored.append((rung, candidate.recipe.last.inputs[0].model))
            right = {"demo:base": 2, "demo:instruct": 7, "demo:reason": 4}
            return _answers(right[candidate.recipe.last.inputs[0].model])
        results = super().score(candidate, rung, on_progress)
        if rung == "proxy":
            assert self.references is not None
            value = results["words"].metrics["exact_match"].value - 1.0
            results["words"] = TaskResult("words", {"proxy": MetricValue(value, 0.1)}, 7, 0)
        return results


def _answers(right: int) -> dict[str, TaskResult]:
    words = tuple(
        ItemResult("words", n, {"exact_match": float(n < right)}, text=f"text {n}")
        for n in range(10)
    )
    holders = tuple(ItemResult("holders", n, {"acc": 0.5}) for n in range(10))
    return {
        "words": TaskResult("words", {"exact_match": MetricValue(right / 10, 0.1)}, 10, 0, words),
        "holders": TaskResult("holders", {"acc": MetricValue(0.5, 0.1)}, 10, 0, holders),
    }


def run(folder: Path, bench: ProxyBench, text: str = OBJECTIVES, **settings: Any) -> dict[str, Any]:
    search = study_fakes.search(
        bench,
        objectives=Objectives.from_yaml(text, Path()),
        parents=PARENTS,
        use_references=bench.use_references,
    )
    wanted = StudySettings(sampler="sobol", **({"trials": 12} | settings))
    return study_fakes.run_in(folder, search, wanted).to_dict()


def read(folder: Path) -> tuple[TrialRecord, ...]:
    return study_fakes.trials(folder)


def test_the_best_parents_right_answers_are_the_reference_texts(tmp_path: Path) -> None:
    bench = ProxyBench()
    run(tmp_path, bench, trials=1)
    assert bench.scored[:3] == [("search", ref) for ref in PARENTS]
    assert bench.references == {"words": {n: f"text {n}" for n in range(7)}}
    with study_fakes.records(tmp_path) as opened:
        assert {reference.parent for reference in opened.references()} == {"demo:instruct"}
    again = ProxyBench()
    run(tmp_path, again, trials=2)
    assert again.references == bench.references
    assert again.scored[0][0] == "proxy"  # the specialists answer once in a search


def test_only_the_named_specialist_is_measured(tmp_path: Path) -> None:
    bench = ProxyBench()
    named = OBJECTIVES.replace("likelihood", "likelihood\n    specialist: demo:instruct")
    run(tmp_path, bench, named, trials=1)
    assert bench.scored[:2] == [("search", "demo:instruct"), ("proxy", bench.scored[1][1])]


def test_every_trial_has_its_proxy_and_promoted_ones_the_metric(tmp_path: Path) -> None:
    bench = ProxyBench()
    document = run(tmp_path, bench)
    trials = read(tmp_path)
    assert all(trial.scores("proxy") for trial in trials)
    promoted = [trial.number for trial in trials if trial.scores("search")]
    assert promoted[:3] == [0, 1, 2]  # the starts
    assert 3 < len(promoted) < len(trials)
    assert {member["trial"] for member in document["front"]} <= set(promoted)
    for trial in trials:
        values = [[t.scores("proxy")[axis.name].value for axis in AXES] for t in trials]
        mine = values[trial.number]
        dominated = any(
            all(a >= b for a, b in zip(earlier, mine, strict=True)) and earlier != mine
            for earlier in values[: trial.number]
        )
        assert bool(trial.scores("search")) == (trial.number < 3 or not dominated)


def test_the_front_holds_metrics_and_says_how_well_the_proxy_agrees(tmp_path: Path) -> None:
    document = run(tmp_path, ProxyBench())
    promoted = sum(bool(trial.scores("search")) for trial in read(tmp_path))
    assert document["proxies"] == {"instruction": {"correlation": 1.0, "trials": promoted}}
    assert all(member["values"]["instruction"]["value"] >= 0 for member in document["front"])
    assert all(member["validated"] for member in document["front"])


def test_the_search_optimizes_the_proxy(tmp_path: Path) -> None:
    run(tmp_path, ProxyBench())
    assert all(trial.values[0] < 0 for trial in study_fakes.study_of(tmp_path).trials)


def test_a_promoted_trial_that_is_stopped_is_done_again(tmp_path: Path) -> None:
    def stop(count: int) -> None:
        if count == 3:  # proxy and search of trial 0, proxy and search of trial 1
            raise Interrupted("stopped")

    with pytest.raises(Interrupted):
        run(tmp_path, ProxyBench(before_score=stop))
    assert [trial.state for trial in read(tmp_path)] == ["complete", "running"]
    assert run(tmp_path, ProxyBench())["front"] == run(tmp_path / "b", ProxyBench())["front"]


def test_a_failure_of_the_metric_leaves_the_proxy(tmp_path: Path) -> None:
    def fail(count: int) -> None:
        if count in (1, 2):  # what may not be the candidate's own failure is done again once
            raise MemoryError("too much")

    run(tmp_path, ProxyBench(before_score=fail), trials=3)
    first = read(tmp_path)[0]
    assert first.state == "complete"
    assert first.rungs["search"].failure == "there is no more memory"
    assert first.scores("proxy")
    assert first.scores() == {}


# -- single parts ----------------------------------------------------------------------------------


def _trial(number: int, proxy: float, value: float | None) -> TrialRecord:
    def measured(first: float) -> Measurement:
        scores = {"instruction": Score(first, 0.1, 9, 0), "reasoning": Score(0.5, 0.1, 9, 0)}
        return Measurement(scores, ended=NOW)

    rungs = {"proxy": measured(proxy)}
    if value is not None:
        rungs["search"] = measured(value)
    return TrialRecord(
        number=number,
        state=State.COMPLETE,
        attempt=1,
        parameters={},
        recipe={},
        recipe_digest=f"r{number}",
        shares={},
        candidate_digest=f"c{number}",
        candidate_size=1,
        reused_from=None,
        failure=None,
        started=NOW,
        ended=NOW,
        rungs=rungs,
    )


def test_agreement_is_spearman_s_rank_correlation() -> None:
    pairs = [(-1.0, 0.1), (-0.8, 0.3), (-0.6, 0.2), (-0.4, 0.5), (-0.2, 0.4)]
    trials = [_trial(n, *pair) for n, pair in enumerate(pairs)]
    trials.append(_trial(9, -0.1, None))
    found = agreements(AXES, trials)
    # 1 - 6 sum(d^2) / (n (n^2 - 1)) with ranks 1 3 2 5 4
    assert found["instruction"].correlation == pytest.approx(1 - 6 * 4 / (5 * 24))
    assert found["instruction"].trials == 5
    assert not found["instruction"].misleads
    assert list(found) == ["instruction"]
    backwards = [_trial(n, proxy, -value) for n, (proxy, value) in enumerate(pairs)]
    assert agreements(AXES, backwards)["instruction"].misleads


def test_too_few_or_equal_values_have_no_correlation() -> None:
    assert agreements(AXES, [_trial(n, n, n) for n in range(4)])["instruction"].correlation is None
    assert (
        agreements(AXES, [_trial(n, n, 1.0) for n in range(9)])["instruction"].correlation is None
    )


def test_what_is_not_dominated_is_promoted() -> None:
    up = ["maximize", "maximize"]
    assert promotes([[-0.5, 0.5]], [-0.4, 0.5], up)
    assert promotes([[-0.5, 0.5]], [-0.5, 0.5], up)
    assert not promotes([[-0.5, 0.5]], [-0.6, 0.5], up)
    assert promotes([], [-0.6, 0.5], up)


def test_documents_without_proxies_do_not_speak_of_them() -> None:
    plain = (Axis("instruction", "maximize", 0.0), Axis("reasoning", "maximize", 0.25))
    assert "proxies" not in Front.of(plain, []).to_dict()


def test_specialists_must_be_parents_and_know_something() -> None:
    named = OBJECTIVES.replace("likelihood", "likelihood\n    specialist: other")
    with pytest.raises(ObjectivesError, match="'other' is not a parent of the space"):
        candidates(Objectives.from_yaml(named, Path()), ["demo:base"])
    objective = Objectives.from_yaml(OBJECTIVES, Path()).objectives[0]
    with pytest.raises(
        ObjectivesError, match="answers 4 of 10 items of words right, and a proxy needs 5"
    ):
        correct_answers(objective, "demo:reason", _answers(4)["words"].items)
    right = _answers(5)["words"].items
    assert [item.item for item in correct_answers(objective, "x", right)] == [0, 1, 2, 3, 4]
