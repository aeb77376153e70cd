"""A run whose trials are scored on parts of the items, up to the confirmed front."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.part_fakes import ORDER, Items, answered, difficulty, on_parts
from helpers.study_fakes import FakeCandidate, records, run_in, told, trade_off

from mergesearch.errors import Interrupted
from mergesearch.objectives import Rung, TaskResult
from mergesearch.study.events import Event, Noted
from mergesearch.study.records import State
from mergesearch.study.settings import StudySettings
from mergesearch.study.trials import Trials

pytestmark = pytest.mark.whole


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of 16 trials."""
    path = tmp_path_factory.mktemp("parts") / "run"
    run_in(path, on_parts(), StudySettings(trials=16, sampler="noisy-gp"))
    return path


def test_a_trial_is_scored_on_one_or_two_parts_and_the_starts_on_two(folder: Path) -> None:
    with records(folder) as run:
        sizes = [len(run.items(trial.number)) for trial in run.trials()]
    assert set(sizes) == {80, 160}
    assert sizes[:3] == [160] * 3


def test_a_value_is_what_all_trials_together_tell(folder: Path) -> None:
    """It is nearer to the truth than the trial's own mean, and says how near."""
    told_errors, own_errors, held = [], [], []
    with records(folder) as run:
        for trial in run.trials():
            items = [item for item in run.items(trial.number) if item.task == "words"]
            truth = (
                sum(difficulty("words", item) < _ability(trial.recipe) for item in range(400)) / 400
            )
            score = trial.scores()["instruction"]
            told_errors.append(abs(score.value - truth))
            own_errors.append(
                abs(sum(i.metrics["exact_match"] for i in items) / len(items) - truth)
            )
            held.append(abs(score.value - truth) < 1.96 * score.stderr)
            assert score.n == len(items)
    assert sum(told_errors) < sum(own_errors)
    assert sum(held) >= 13


def _ability(document: Any) -> float:
    from mergesearch.recipe import Recipe

    return trade_off(Recipe.from_dict(dict(document)))[0]


def test_the_front_is_confirmed_on_the_beginning_of_the_validate_items(folder: Path) -> None:
    document = json.loads((folder / "front.json").read_text())
    shown = [member["trial"] for member in document["front"]]
    twins = [twin for member in document["front"] for twin in member["twins"]]
    finalists = [*shown, *twins, *document["dropped"]]
    assert document["knee"] in shown
    assert len(set(finalists)) == len(finalists)
    n_search = n_validate = 0
    with records(folder) as run:
        for trial in run.trials():
            n_search += len(run.items(trial.number))
            items = [item.item for item in run.items(trial.number, Rung.VALIDATE, "words")]
            assert items == list(range(400, 400 + len(items)))
            n_validate += 2 * len(items)
            assert bool(items) == (trial.number in finalists)
    assert 0.1 * n_search < n_validate <= 0.26 * n_search


def test_the_front_of_the_search_stays_beside_the_confirmed_one(folder: Path) -> None:
    document = json.loads((folder / "front.json").read_text())
    assert document["search"]["knee"] in [member["trial"] for member in document["search"]["front"]]
    assert all("confirmed" not in member for member in document["search"]["front"])
    member = document["front"][0]
    assert member["confirmed"]["instruction"]["n"] == member["validated"]["instruction"]["n"]
    assert 0.0 < member["confirmed"]["instruction"]["stderr"] < 0.1
    assert 0.0 <= member["chance"] <= 1.0


def test_a_broken_run_ends_like_an_unbroken_one(folder: Path, tmp_path: Path) -> None:
    def stop(count: int) -> None:
        if count == 17:
            raise Interrupted("stopped")

    bench = Items(before_score=stop)
    with pytest.raises(Interrupted):
        run_in(tmp_path / "run", on_parts(bench), StudySettings(trials=16, sampler="noisy-gp"))
    run_in(tmp_path / "run", on_parts(), StudySettings(trials=16, sampler="noisy-gp"))
    assert told(tmp_path / "run") == told(folder)
    assert _front(tmp_path / "run") == _front(folder)


def test_a_run_that_ended_between_ledger_and_study_ends_like_an_unbroken_one(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the trial gave is on record then, and the next proposals know it."""
    tell = Trials.tell

    def tell_or_end(study: Trials, number: int, *rest: Any, **attributes: Any) -> None:
        if number == 11:
            raise Interrupted("stopped")
        tell(study, number, *rest, **attributes)

    settings = StudySettings(trials=16, sampler="noisy-gp")
    with monkeypatch.context() as patch:
        patch.setattr(Trials, "tell", tell_or_end)
        with pytest.raises(Interrupted):
            run_in(tmp_path / "run", on_parts(), settings)
    run_in(tmp_path / "run", on_parts(), settings)
    assert told(tmp_path / "run") == told(folder)


def _front(folder: Path) -> dict[str, Any]:
    """The front as written, but for what depends on the clock."""
    document: dict[str, Any] = json.loads((folder / "front.json").read_text())
    del document["racing"]["seconds_saved"]
    return document


class Stuck(Items):
    """Every candidate answers every item of one task."""

    def score(
        self,
        candidate: FakeCandidate,
        rung: Any,
        on_progress: Callable[[Any], None],
        items: Any = None,
    ) -> dict[str, TaskResult]:
        results = super().score(candidate, rung, on_progress, items)
        return {**results, "words": answered("words", 2.0, (items or ORDER[rung])["words"])}


def test_an_objective_that_nothing_moves_is_named_and_the_search_goes_on(tmp_path: Path) -> None:
    events: list[Event] = []
    settings = StudySettings(trials=12, sampler="noisy-gp")
    front = run_in(tmp_path / "run", on_parts(Stuck()), settings, events.append)
    assert [event.note for event in events if isinstance(event, Noted)] == [
        "instruction is 1 for all of 10 trials; the search continues"
    ]
    assert front.members[0].known["instruction"].value == pytest.approx(1.0)


def test_candidates_that_are_all_alike_are_scored_once(tmp_path: Path) -> None:
    bench = Items(digest_of=lambda recipe: "0" * 64)
    run_in(tmp_path / "run", on_parts(bench), StudySettings(trials=13, sampler="noisy-gp"))
    assert [rung for rung, _ in bench.scored] == [Rung.SEARCH] * 2 + [Rung.VALIDATE]


def test_without_a_share_nothing_is_confirmed(tmp_path: Path) -> None:
    front = run_in(tmp_path / "run", on_parts(), StudySettings(trials=3, confirm=0.0))
    assert front.search is None
    assert not any(member.validated for member in front.members)


def test_a_run_without_a_complete_trial_has_nothing_to_confirm(tmp_path: Path) -> None:
    def fail(count: int) -> None:
        raise MemoryError

    settings = StudySettings(trials=3)
    front = run_in(tmp_path / "run", on_parts(Items(before_build=fail)), settings)
    assert front.members == ()
    with records(tmp_path / "run") as run:
        assert {trial.state for trial in run.trials()} == {State.FAILED}
