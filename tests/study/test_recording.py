"""Who owns a trial: what Optuna's study shows, what the ledger adds, and what is told when."""

from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from helpers import study_fakes
from helpers.study_fakes import Bench, files, records, run_in, search, study_of, trials

from mergesearch.errors import Interrupted, RunFolderError
from mergesearch.objectives import Rung
from mergesearch.study.reading import RunRecords
from mergesearch.study.recording import RunRecorder
from mergesearch.study.records import Measurement
from mergesearch.study.samplers.problem import Proposal
from mergesearch.study.settings import StudySettings

pytestmark = pytest.mark.whole

SETTINGS = StudySettings(trials=4, sampler="sobol", confirm=0.0)


def test_the_study_is_useful_in_optunas_dashboard(tmp_path: Path) -> None:
    folder = tmp_path / "night 1"
    run_in(folder, search(), SETTINGS)
    study = study_of(folder)
    assert study.study_name == "night 1"
    assert study.metric_names == ["instruction", "reasoning"]
    assert [direction.name for direction in study.directions] == ["MAXIMIZE", "MAXIMIZE"]
    trial, record = study.trials[2], trials(folder)[2]
    assert list(trial.params) == [
        "merge_method",
        "demo:instruct.weight[0]",
        "demo:instruct.weight[1]",
        "demo:reason.weight",
    ]
    assert trial.params == record.parameters
    assert trial.values == [score.value for score in record.scores().values()]
    assert trial.user_attrs == {
        "recipe": record.recipe,
        "recipe_digest": record.recipe_digest,
        "shares": record.shares,
        "words": [],
        "attempts": [record.started.isoformat()],
        "digest": record.candidate_digest,
        "size": 1000,
        "standard_errors": {"instruction": 0.04, "reasoning": 0.04},
    }


def test_a_failed_trial_says_why(tmp_path: Path) -> None:
    def fail(count: int) -> None:
        if count == 1:
            raise OSError(28, "No space left")

    run_in(tmp_path, search(Bench(before_build=fail)), SETTINGS)
    trial = study_of(tmp_path).trials[1]
    assert (trial.state.name, trial.values) == ("FAIL", None)
    assert trial.user_attrs["failure"] == "OSError: [Errno 28] No space left"
    assert trials(tmp_path)[1].failure == trial.user_attrs["failure"]
    assert "digest" not in trial.user_attrs


def test_an_interrupted_trial_counts_its_attempts(tmp_path: Path) -> None:
    def stop(count: int) -> None:
        raise Interrupted("enough")

    starts = []
    for attempt in (1, 2):
        with pytest.raises(Interrupted):
            run_in(tmp_path, search(Bench(before_score=stop)), SETTINGS)
        (trial,) = trials(tmp_path)
        assert (trial.state, trial.finished, trial.attempt) == ("running", False, attempt)
        assert (trial.ended, trial.seconds) == (None, None)
        starts.append(trial.started)
    run_in(tmp_path, search(), SETTINGS)
    first = trials(tmp_path)[0]
    assert (first.state, first.attempt) == ("complete", 3)
    assert starts[0] < starts[1] < first.started < first.ended


def test_what_was_measured_and_not_told_is_told_at_the_start(tmp_path: Path) -> None:
    run_in(tmp_path, search(), StudySettings(trials=1, sampler="sobol", confirm=0.0))
    with RunRecorder.start(files(tmp_path), search(), SETTINGS) as recorder:
        scores = recorder.trials()[0].scores()
        for number in (1, 2, 3):
            proposal = Proposal(dict.fromkeys(recorder.trials()[0].parameters, 0.5), {})
            proposal.parameters["merge_method"] = "linear"
            dimensions = search().space.dimensions
            assert recorder.study.start(proposal, dimensions, None, {}) == number
        recorder.study.note(1, digest="d" * 64, size=9)
        recorder._ledger.record(1, {Rung.SEARCH: Measurement(scores)})
        recorder._ledger.record(2, {Rung.SEARCH: Measurement(failure="killed")})
    with RunRecorder.start(files(tmp_path), search(), SETTINGS) as recorder:
        recorder.tell_finished()
        states = [(trial.state, trial.failure) for trial in recorder.trials()]
        left = recorder.history.unfinished()
    assert states == [
        ("complete", None),
        ("complete", None),
        ("failed", "killed"),
        ("running", None),
    ]
    assert [trial.number for trial in left] == [3]
    assert study_of(tmp_path).trials[1].values == [score.value for score in scores.values()]


def test_equal_candidates_are_read_as_one(tmp_path: Path) -> None:
    run_in(tmp_path, search(Bench(digest_of=lambda recipe: "e" * 64)), SETTINGS)
    with records(tmp_path) as opened:
        first, *others = opened.trials()
        assert [trial.reused_from for trial in others] == [0, 0, 0]
        assert all(trial.scores() == first.scores() for trial in others)
        assert {trial.candidate_size for trial in others} == {1000}
        assert opened.items(2) == opened.items(0) != ()
        assert opened.items(9) == ()


def test_runs_of_one_server_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is taken for a server's database holds two runs that do not mix."""
    for module in ("database", "identity", "recording"):
        monkeypatch.setattr(f"mergesearch.study.{module}.is_file", lambda url: False)
    url = files(tmp_path).database
    lengths = {"first": 2, "second": 3}
    for name, length in lengths.items():
        settings = StudySettings(trials=length, sampler="sobol", confirm=0.0)
        study_fakes.run_study(replace(files(tmp_path), name=name), search(), settings)
    for name, length in lengths.items():
        with RunRecords.open(url, name) as opened:
            assert (opened.run().name, len(opened.trials())) == (name, length)
    with pytest.raises(RunFolderError, match="it holds several runs, and none was named") as caught:
        RunRecords.open(url)
    assert caught.value.expected == "first, second"
    with pytest.raises(RunFolderError, match="it holds no run named third"):
        RunRecords.open(url, "third")
    optuna.create_study(study_name="taken", storage=url)
    with pytest.raises(RunFolderError, match="has a study named taken already"):
        RunRecorder.start(replace(files(tmp_path), name="taken"), search(), SETTINGS)


def test_a_moved_folder_goes_on_under_the_name_it_started_with(tmp_path: Path) -> None:
    run_in(tmp_path / "first", search(), SETTINGS)
    moved = (tmp_path / "first").rename(tmp_path / "second")
    run_in(moved, search(), StudySettings(trials=6, confirm=0.0))
    assert study_of(moved).study_name == "first"
    assert len(trials(moved)) == 6
