"""What fails in a run: its trials, its folder, its database."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from helpers.study_fakes import (
    OBJECTIVES,
    SPACE,
    TRIALS,
    Bench,
    raise_at,
    records,
    run_briefly,
    run_in,
    search,
    trials,
)

from mergesearch.errors import (
    BuildError,
    CheckpointError,
    MergeSearchError,
    ObjectivesError,
    ParentChanged,
    RunFolderError,
    ScorerCrashed,
    ScorerKilled,
    SpaceError,
)
from mergesearch.objectives import Objectives
from mergesearch.space import Space
from mergesearch.study import events
from mergesearch.study.settings import StudySettings

pytestmark = pytest.mark.whole


@pytest.mark.parametrize(
    ("bench", "reason"),
    [
        (Bench(before_build=raise_at(1, BuildError("no memory left"))), "no memory left"),
        (Bench(before_build=raise_at(1, CheckpointError("gone", where="a/b"))), "a/b: gone"),
        (Bench(before_build=raise_at(1, OSError(28, "No space left"))), "OSError: [Errno 28]"),
        (Bench(before_score=raise_at(1, ScorerCrashed("killed by SIGSEGV"))), "by SIGSEGV"),
    ],
)
def test_what_fails_is_a_failed_trial_with_its_reason(
    tmp_path: Path, bench: Bench, reason: str
) -> None:
    document = run_briefly(tmp_path, bench)
    assert (document["trials"], document["failed"]) == (TRIALS, 1)
    failed = [trial for trial in trials(tmp_path) if trial.state == "failed"]
    assert len(failed) == 1
    assert reason in (failed[0].failure or "")
    assert failed[0].scores() == {}
    assert all(candidate.closed for candidate in bench.candidates)


@pytest.mark.parametrize("at", ["before_build", "before_score"])
def test_what_fails_for_an_outside_reason_is_done_once_more(tmp_path: Path, at: str) -> None:
    seen: list[events.Event] = []
    killed = ScorerKilled("the scoring process died (ended by SIGKILL)")
    run_in(
        tmp_path,
        search(Bench(**{at: raise_at(2, killed)})),
        StudySettings(trials=4, sampler="sobol"),
        seen.append,
    )
    assert {trial.state for trial in trials(tmp_path)} == {"complete"}
    again = [event for event in seen if isinstance(event, events.TriedAgain)]
    assert again == [events.TriedAgain(2, str(killed))]


def test_what_fails_twice_has_failed(tmp_path: Path) -> None:
    def short(count: int) -> None:
        if count in (1, 2):
            raise MemoryError

    run_briefly(tmp_path, Bench(before_score=short), trials=3)
    failed = trials(tmp_path)[1]
    assert (failed.state, failed.failure) == ("failed", "there is no more memory")


@pytest.mark.parametrize("change", ["removed", "renamed", "replaced"])
def test_a_folder_that_goes_is_noticed_at_the_next_trial(tmp_path: Path, change: str) -> None:
    folder, elsewhere = tmp_path / "run", tmp_path / "elsewhere"

    def lose(count: int) -> None:
        if count == 1:
            if change == "removed":
                shutil.rmtree(folder)
            else:
                folder.rename(elsewhere)
            if change == "replaced":
                folder.mkdir()

    with pytest.raises(MergeSearchError, match="the run folder was removed or renamed") as caught:
        run_briefly(folder, Bench(before_score=lose), trials=5)
    assert caught.value.exit_code == 1
    if change != "removed":
        shutil.rmtree(folder, ignore_errors=True)
        elsewhere.rename(folder)
        run_briefly(folder, trials=5)
        assert [trial.state for trial in trials(folder)] == ["complete"] * 5


def test_a_database_that_is_lost_is_not_started_anew(tmp_path: Path) -> None:
    run_briefly(tmp_path, trials=1)
    (tmp_path / "study.db").write_bytes(b"")
    with pytest.raises(RunFolderError, match="the run that was started here is not on record"):
        run_briefly(tmp_path, trials=2)
    (tmp_path / "study.db").unlink()
    with pytest.raises(RunFolderError, match="the run that was started here is not on record"):
        run_briefly(tmp_path, trials=2)
    assert not (tmp_path / "study.db").exists()


def test_too_many_unscored_items_fail_the_trial_and_keep_the_items(tmp_path: Path) -> None:
    with pytest.raises(MergeSearchError, match="5 trials in a row failed"):
        run_briefly(tmp_path, Bench(unscored=50))
    with records(tmp_path) as opened:
        assert len(opened.items(4)) == 4
        assert "50 of 150 items could not be scored" in (opened.trials()[4].failure or "")


def test_a_search_that_can_only_fail_stops_early(tmp_path: Path) -> None:
    def broken(count: int) -> None:
        raise BuildError("libggml-base is missing")

    with pytest.raises(MergeSearchError, match="libggml-base is missing"):
        run_briefly(tmp_path, Bench(before_build=broken), trials=60)
    assert len(trials(tmp_path)) == 5
    run_briefly(tmp_path)
    assert len(trials(tmp_path)) == TRIALS


@pytest.mark.parametrize(
    "error",
    [
        ObjectivesError("the KV cache does not fit", where="runtime.n_parallel"),
        ParentChanged("has other bytes", where="model.safetensors"),
    ],
)
def test_what_no_candidate_could_do_better_on_ends_the_run_and_fails_no_trial(
    tmp_path: Path, error: MergeSearchError
) -> None:
    at = "before_build" if isinstance(error, ParentChanged) else "before_score"
    bench = Bench(**{at: raise_at(2, error)})
    with pytest.raises(type(error), match=error.what):
        run_briefly(tmp_path, bench)
    assert [trial.state for trial in trials(tmp_path)] == ["complete", "complete", "running"]
    run_briefly(tmp_path)
    assert {trial.state for trial in trials(tmp_path)} == {"complete"}


def test_a_recipe_that_the_space_refuses_is_a_failed_trial(tmp_path: Path) -> None:
    space = Space.from_yaml(SPACE)
    fill = space.recipe

    def refuse_one(values: Any) -> Any:
        recipe = fill(values)
        if recipe.last.inputs[0].parameters["weight"] == (1.0, 1.0):
            raise SpaceError("weights of one kind only")
        return recipe

    space.recipe = refuse_one  # type: ignore[method-assign]
    run_in(tmp_path, search(space=space), StudySettings(trials=4, sampler="sobol"))
    first = trials(tmp_path)[0]
    assert (first.state, first.failure) == ("failed", "weights of one kind only")
    assert (first.recipe, first.recipe_digest) == ({}, "")


def test_a_score_that_is_no_number_is_a_failure(tmp_path: Path) -> None:
    class Undefined(Objectives):
        def scores(self, results: Any, rung: str = "search") -> Any:
            scores = super().scores(results, rung)
            return {name: type(one)(float("nan"), 0.0, 1, 0) for name, one in scores.items()}

    made = Objectives.from_yaml(OBJECTIVES, Path())
    undefined = Undefined(made.objectives)
    with pytest.raises(MergeSearchError, match=r"nan ± 0\.0 is not a score"):
        run_in(tmp_path, search(objectives=undefined), StudySettings(trials=9, sampler="sobol"))
