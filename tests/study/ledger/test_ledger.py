"""The ledger: what is written is read back, what was measured never changes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mergesearch.objectives import ItemResult, Rung, Score
from mergesearch.study.database import Database, sqlite_url
from mergesearch.study.ledger import Ledger, add_run, runs
from mergesearch.study.records import Axis, Measurement, Reference, RunRecord

RUN = RunRecord(
    name="demo",
    space="merge_method: linear",
    objectives={"objectives": {"instruction": {}}},
    axes=(Axis("instruction", "maximize", 0.0, True), Axis("loss", "minimize", 5.5)),
    fingerprints={"space": "a1", "scoring": "b2"},
    versions={"optuna": "5.0.0"},
    seed=2**40,
    sampler="gp",
)
SCORES = {"instruction": Score(0.1 + 0.2, 0.04, 118, 2), "loss": Score(2.5, 0.1, 120, 0)}
ITEMS = (
    ItemResult("words", 7, {"exact": 1.0, "loose": 1.0}, None, 20, 3, 0.25, "Äpfel\n" * 50, 4),
    ItemResult("words", 2, {}, "the prompt has 2048 tokens", 0, 0, 0.0, None),
)
MEASURED = Measurement(SCORES, ITEMS, build_seconds=0.5, score_seconds=0.25)
FAILURE = Measurement(items=ITEMS, failure="killed by SIGSEGV")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database.create(sqlite_url(tmp_path / "study.db")) as opened:
        yield opened


@pytest.fixture
def ledger(database: Database) -> Ledger:
    return Ledger(database.engine, add_run(database.engine, RUN))


def test_a_run_is_read_back_as_written(database: Database) -> None:
    run_id = add_run(database.engine, RUN)
    assert runs(database.engine) == {run_id: RUN}
    assert RUN.first_rung is Rung.PROXY


def test_measurements_are_read_back_to_the_bit(ledger: Ledger) -> None:
    ledger.record(3, {Rung.PROXY: MEASURED, Rung.SEARCH: MEASURED})
    rungs = ledger.rungs()[3]
    assert list(rungs) == [Rung.PROXY, Rung.SEARCH]
    for record in rungs.values():
        assert (record.scores, record.failure, record.ended) == (SCORES, None, MEASURED.ended)
        assert (record.build_seconds, record.score_seconds) == (0.5, 0.25)
    assert ledger.rungs(3) == {3: rungs}
    assert ledger.rungs(4) == {}


def test_items_keep_their_text_and_their_reason(ledger: Ledger) -> None:
    ledger.record(0, {Rung.SEARCH: MEASURED})
    assert ledger.items(0, Rung.SEARCH) == (ITEMS[1], ITEMS[0])
    assert ledger.items(0, Rung.SEARCH, task="other") == ()
    assert ledger.items(0, Rung.VALIDATE) == ()
    assert ledger.items(1, Rung.SEARCH) == ()


def test_a_failure_keeps_its_items_and_is_replaced_by_what_succeeds(ledger: Ledger) -> None:
    ledger.record(0, {Rung.VALIDATE: FAILURE})
    record = ledger.rungs(0)[0][Rung.VALIDATE]
    assert (record.failure, record.scores) == ("killed by SIGSEGV", {})
    assert len(ledger.items(0, Rung.VALIDATE)) == 2
    ledger.record(0, {Rung.VALIDATE: MEASURED})
    record = ledger.rungs(0)[0][Rung.VALIDATE]
    assert (record.failure, record.scores) == (None, SCORES)


def test_what_was_measured_never_changes_and_rungs_are_recorded_together(ledger: Ledger) -> None:
    ledger.record(0, {Rung.SEARCH: MEASURED})
    before = ledger.rungs()
    with pytest.raises(ValueError, match="trial 0 has scores on search already"):
        ledger.record(0, {Rung.PROXY: MEASURED, Rung.SEARCH: MEASURED})
    assert ledger.rungs() == before


def test_references_are_read_back_by_task_and_item(ledger: Ledger) -> None:
    answers = (Reference("b", 1, "demo:reason", "ja"), Reference("a", 9, "demo:base", "né"))
    assert ledger.references() == ()
    ledger.record_references(answers)
    assert ledger.references() == answers[::-1]


def test_two_runs_of_one_database_do_not_mix(database: Database, ledger: Ledger) -> None:
    from dataclasses import replace

    other = Ledger(database.engine, add_run(database.engine, replace(RUN, name="other")))
    ledger.record(0, {Rung.SEARCH: MEASURED})
    ledger.record_references([Reference("a", 0, "demo:base", "x")])
    assert other.rungs() == {}
    assert other.items(0, Rung.SEARCH) == ()
    assert other.references() == ()
    other.record(0, {Rung.SEARCH: FAILURE})
    assert ledger.rungs(0)[0][Rung.SEARCH].failure is None
