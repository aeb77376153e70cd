"""The ledger: what is written is read back, what has finished never changes."""

import sqlite3
from pathlib import Path

import pytest

from mergesearch.errors import RunFolderError
from mergesearch.objectives import ItemResult, Score, TaskResult
from mergesearch.study.ledger import Axis, Ledger, Measurement, RunRecord

RUN = RunRecord(
    space="merge_method: linear",
    objectives={"objectives": {"instruction": {}}},
    axes=(Axis("instruction", "maximize", 0.0), Axis("loss", "minimize", 5.5)),
    fingerprints={"space": "a1", "scoring": "b2"},
    versions={"optuna": "5.0.0"},
    seed=2**40,
    sampler="gp",
)
SCORES = {"instruction": Score(0.1 + 0.2, 0.04, 118, 2), "loss": Score(2.5, 0.1, 120, 0)}
ITEMS = (
    ItemResult("words", 7, {"exact": 1.0, "loose": 1.0}, None, 20, 3, 0.25, "Äpfel\n" * 50),
    ItemResult("words", 2, {}, "the prompt has 2048 tokens", 0, 0, 0.0, None),
)
RESULTS = {"words": TaskResult("words", {}, 1, 1, ITEMS)}
MEASURED = Measurement(SCORES, RESULTS, digest="f" * 64, size=2**33, build_seconds=0.5)


@pytest.fixture
def ledger(tmp_path: Path):
    with Ledger.create(tmp_path) as opened:
        opened.begin_run(RUN)
        yield opened


def begin(ledger: Ledger, number: int) -> None:
    ledger.begin_trial(
        number,
        parameters={"weight": 1 / 3},
        recipe={"merge_method": "linear"},
        recipe_digest="d" * 64,
        shares={"demo:instruct": 0.75, "demo:reason": 0.25},
    )


def test_a_run_is_read_back_as_written(ledger: Ledger) -> None:
    assert ledger.has_run()
    assert ledger.run() == RUN


def test_a_trial_is_read_back_to_the_bit(ledger: Ledger) -> None:
    begin(ledger, 0)
    ledger.finish_trial(0, MEASURED)
    trial = ledger.trial(0)
    assert trial is not None
    assert (trial.number, trial.state, trial.attempt) == (0, "complete", 1)
    assert trial.finished
    assert trial.parameters == {"weight": 1 / 3}
    assert trial.recipe == {"merge_method": "linear"}
    assert trial.shares == {"demo:instruct": 0.75, "demo:reason": 0.25}
    assert (trial.candidate_digest, trial.candidate_size) == ("f" * 64, 2**33)
    assert trial.scores() == SCORES
    assert trial.scores("validate") == {}
    assert trial.rungs["search"].build_seconds == 0.5
    assert trial.seconds is not None
    assert trial.seconds >= 0
    assert trial.started.tzinfo is not None


def test_items_keep_their_text_and_their_reason(ledger: Ledger) -> None:
    begin(ledger, 0)
    ledger.finish_trial(0, MEASURED)
    assert ledger.items(0) == (ITEMS[1], ITEMS[0])
    assert ledger.items(0, task="other") == ()
    assert ledger.items(0, "validate") == ()
    assert ledger.items(1) == ()


def test_a_failed_trial_keeps_its_reason_and_its_items(ledger: Ledger) -> None:
    begin(ledger, 0)
    ledger.finish_trial(0, Measurement(results=RESULTS, failure="words: 1 of 2 unscored"))
    trial = ledger.trial(0)
    assert trial is not None
    assert (trial.state, trial.failure) == ("failed", "words: 1 of 2 unscored")
    assert trial.scores() == {}
    assert len(ledger.items(0)) == 2


def test_what_has_finished_never_changes(ledger: Ledger) -> None:
    begin(ledger, 0)
    ledger.finish_trial(0, MEASURED)
    before = ledger.trials()
    for change in (
        lambda: begin(ledger, 0),
        lambda: ledger.interrupt_trial(0),
        lambda: ledger.finish_trial(0, MEASURED),
        lambda: ledger.record_rung(0, "search", MEASURED),
    ):
        with pytest.raises(ValueError, match=r"finished|already"):
            change()
    assert ledger.trials() == before


def test_a_trial_that_was_never_begun_cannot_end(ledger: Ledger) -> None:
    with pytest.raises(ValueError, match="trial 3 was never begun"):
        ledger.finish_trial(3, MEASURED)


def test_an_interrupted_trial_is_begun_again_under_its_number(ledger: Ledger) -> None:
    begin(ledger, 0)
    ledger.interrupt_trial(0)
    assert ledger.trials()[0].state == "interrupted"
    begin(ledger, 0)
    begin(ledger, 1)
    first, second = ledger.trials()
    assert (first.state, first.attempt, first.ended) == ("running", 2, None)
    assert (second.number, second.attempt) == (1, 1)


def test_a_failed_validation_is_replaced_and_a_good_one_is_not(ledger: Ledger) -> None:
    begin(ledger, 0)
    ledger.finish_trial(0, MEASURED)
    ledger.record_rung(0, "validate", Measurement(results=RESULTS, failure="killed by SIGSEGV"))
    assert ledger.trials()[0].rungs["validate"].failure == "killed by SIGSEGV"
    ledger.record_rung(0, "validate", Measurement(SCORES, RESULTS))
    trial = ledger.trials()[0]
    assert trial.scores("validate") == SCORES
    assert trial.rungs["validate"].failure is None
    with pytest.raises(ValueError, match="already"):
        ledger.record_rung(0, "validate", MEASURED)


def test_reading_goes_on_while_the_run_writes(tmp_path: Path, ledger: Ledger) -> None:
    begin(ledger, 0)
    with Ledger.open(tmp_path) as reader:
        assert reader.trials()[0].state == "running"
        ledger.finish_trial(0, MEASURED)
        assert reader.trials()[0].state == "complete"
        with sqlite3.connect(tmp_path / "study.db", timeout=0) as writer:
            writer.execute("BEGIN IMMEDIATE")
            writer.execute("UPDATE mergesearch_trial SET state = 'failed'")
            assert reader.trials()[0].state == "complete"
            writer.rollback()


def test_a_reader_cannot_write(tmp_path: Path, ledger: Ledger) -> None:
    with Ledger.open(tmp_path) as reader, pytest.raises(Exception, match="readonly"):
        begin(reader, 0)


def test_a_closed_run_is_one_file(tmp_path: Path) -> None:
    with Ledger.create(tmp_path) as ledger:
        ledger.begin_run(RUN)
        begin(ledger, 0)
    assert [path.name for path in tmp_path.iterdir()] == ["study.db"]


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="no run folder"):
        Ledger.open(tmp_path)
    (tmp_path / "study.db").write_bytes(b"not a database, but long enough to look like one")
    with pytest.raises(RunFolderError, match="cannot be read: file is not a database"):
        Ledger.open(tmp_path)
    (tmp_path / "study.db").write_bytes(b"")
    with pytest.raises(RunFolderError, match="holds no run"):
        Ledger.open(tmp_path)


def test_two_runs_of_one_database_do_not_mix(tmp_path: Path, ledger: Ledger) -> None:
    begin(ledger, 0)
    with Ledger.create(tmp_path, "other") as other:
        assert not other.has_run()
        other.begin_run(RUN)
        assert other.trials() == ()
    assert len(ledger.trials()) == 1
