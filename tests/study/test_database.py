"""The database of a run: where it may be, whose it is, and what a damaged one says."""

import os
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import optuna
import pytest
from helpers.study_fakes import run_in, search, trials

from mergesearch.errors import Interrupted, RunFolderError, StorageError
from mergesearch.study.database import Database, location, runs_of, sqlite_url
from mergesearch.study.ledger import add_run
from mergesearch.study.reading import RunRecords
from mergesearch.study.settings import StudySettings

pytestmark = pytest.mark.whole

ONE_TRIAL = StudySettings(trials=1, sampler="sobol", confirm=0.0)
VERSION_0_2 = "CREATE TABLE mergesearch_run (id INTEGER, name VARCHAR(255))"


def test_any_character_may_be_in_a_path(tmp_path: Path) -> None:
    folder = tmp_path / "50% of {a}#1? ü&b=c'\" +"
    run_in(folder, search(), ONE_TRIAL)
    assert {path.name for path in folder.iterdir()} == {".lock", "front.json", "study.db"}
    assert [trial.number for trial in trials(folder)] == [0]
    assert location(sqlite_url(folder / "study.db")) == folder / "study.db"


@pytest.mark.skipif(sys.platform != "linux", reason="names are text elsewhere")
def test_a_path_may_hold_bytes_that_are_no_text(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"\xff\xfe") / "run"
    run_in(folder, search(), ONE_TRIAL)
    assert len(trials(folder)) == 1
    assert location(sqlite_url(folder / "study.db")) == folder / "study.db"


def test_a_relative_path_stays_the_same_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run_in(Path("here"), search(), ONE_TRIAL)
    assert len(trials(Path("here"))) == len(trials(tmp_path / "here")) == 1
    with RunRecords.open("sqlite:///here/study.db") as records:  # as a person writes it
        assert len(records.trials()) == 1


def test_a_server_is_named_without_its_password() -> None:
    assert location("postgresql://me:secret@host/studies") == "postgresql://me:***@host/studies"


def test_a_folder_without_a_database_is_not_a_run_folder(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path / "study.db")
    assert runs_of(url) == {}
    with pytest.raises(RunFolderError, match=r"has no study\.db, so it is not a run folder"):
        RunRecords.open(url)
    assert list(tmp_path.iterdir()) == []


def test_an_empty_database_holds_no_run(tmp_path: Path) -> None:
    file = tmp_path / "study.db"
    file.touch()
    with pytest.raises(RunFolderError, match="it holds no run"):
        RunRecords.open(sqlite_url(file))
    run_in(tmp_path, search(), ONE_TRIAL)
    assert len(trials(tmp_path)) == 1


def test_what_is_not_a_database_is_said_to_be_none(tmp_path: Path) -> None:
    file = tmp_path / "study.db"
    file.write_bytes(b"not a database, but long enough to look like one" * 50)
    for use in (RunRecords.open, Database.create):
        with pytest.raises(RunFolderError, match="cannot be used: file is not a database"):
            use(sqlite_url(file))


def test_the_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/study.db"
    optuna.create_study(study_name="theirs", storage=url)
    before = (tmp_path / "study.db").read_bytes()
    with pytest.raises(RunFolderError, match="it holds no run"):
        RunRecords.open(url)
    with pytest.raises(
        RunFolderError, match="tables that are not a run's, such as alembic_version"
    ):
        run_in(tmp_path, search(), ONE_TRIAL)
    assert (tmp_path / "study.db").read_bytes() == before


def test_a_run_of_version_0_2_is_refused_with_the_version_to_use(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "study.db") as connection:
        connection.execute(VERSION_0_2)
    before = (tmp_path / "study.db").read_bytes()
    match = "it was written by mergesearch 0.2, which alone can read it"
    with pytest.raises(RunFolderError, match=match):
        RunRecords.open(sqlite_url(tmp_path / "study.db"))
    with pytest.raises(RunFolderError, match=match):
        run_in(tmp_path, search(), ONE_TRIAL)
    assert (tmp_path / "study.db").read_bytes() == before


def test_a_run_of_a_later_version_is_refused_by_its_name(tmp_path: Path) -> None:
    run_in(tmp_path, search(), ONE_TRIAL)
    with sqlite3.connect(tmp_path / "study.db") as connection:
        connection.execute(
            "UPDATE mergesearch_schema SET version = 9, written_by = 'mergesearch 4.5.6'"
        )
    with pytest.raises(RunFolderError, match=r"it was written by mergesearch 4\.5\.6, which alone"):
        trials(tmp_path)


@pytest.mark.parametrize(
    ("version", "message", "fix"),
    [("v2.6.0.a", "an older version of Optuna", "upgrade"), ("v99.a", "a newer", "update Optuna")],
)
def test_a_study_of_another_version_of_optuna_is_refused(
    tmp_path: Path, version: str, message: str, fix: str
) -> None:
    run_in(tmp_path, search(), ONE_TRIAL)
    with sqlite3.connect(tmp_path / "study.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (version,))
    with pytest.raises(RunFolderError, match=f"its study was written by {message}") as caught:
        trials(tmp_path)
    assert fix in (caught.value.fix or "")


def test_tables_that_a_kill_left_half_made_are_made_whole(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "study.db") as connection:
        connection.execute(
            "CREATE TABLE mergesearch_schema (version INTEGER PRIMARY KEY, written_by VARCHAR(64))"
        )
    run_in(tmp_path, search(), ONE_TRIAL)
    assert len(trials(tmp_path)) == 1


def test_a_reader_cannot_write(tmp_path: Path) -> None:
    run_in(tmp_path, search(), ONE_TRIAL)
    with RunRecords.open(sqlite_url(tmp_path / "study.db")) as records:
        run = records.run()
    with (
        Database.open(sqlite_url(tmp_path / "study.db")) as database,
        pytest.raises(Exception, match="readonly"),
    ):
        add_run(database.engine, run)


def test_reading_goes_on_while_another_process_writes(tmp_path: Path) -> None:
    run_in(tmp_path, search(), ONE_TRIAL)
    with (
        RunRecords.open(sqlite_url(tmp_path / "study.db")) as records,
        sqlite3.connect(tmp_path / "study.db", timeout=0) as writer,
    ):
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("UPDATE mergesearch_rung SET failure = 'changed'")
        assert records.trials()[0].rungs["search"].failure is None
        writer.rollback()


def _hold(file: Path, seconds: float) -> subprocess.Popen[bytes]:
    """Another process that holds a database locked for some time."""
    script = (
        "import sqlite3, sys, time\n"
        "held = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "held.execute('BEGIN EXCLUSIVE')\n"
        "print(flush=True)\n"
        "time.sleep(float(sys.argv[2]))\n"
    )
    command = [sys.executable, "-c", script, str(file), str(seconds)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def test_a_lock_is_waited_for(tmp_path: Path) -> None:
    run_in(tmp_path, search(), ONE_TRIAL)
    with _hold(tmp_path / "study.db", 3):
        run_in(tmp_path, search(), StudySettings(trials=2, sampler="sobol"))
    assert len(trials(tmp_path)) == 2


def test_waiting_for_a_lock_can_be_interrupted(tmp_path: Path) -> None:
    run_in(tmp_path, search(), ONE_TRIAL)
    with _hold(tmp_path / "study.db", 60) as other:
        timer = threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGTERM))
        timer.start()
        start = time.monotonic()
        with pytest.raises(Interrupted):
            run_in(tmp_path, search(), StudySettings(trials=2, sampler="sobol"))
        assert time.monotonic() - start < 10
        other.kill()


def test_a_full_disk_is_one_sentence_and_the_run_goes_on(tmp_path: Path) -> None:
    """The limit of a file's size stands for that of the disk."""
    run_in(tmp_path, search(), ONE_TRIAL)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, hard))
    try:
        with pytest.raises(StorageError, match=r"study\.db: it cannot be used") as caught:
            run_in(tmp_path, search(), StudySettings(trials=3, sampler="sobol"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)
    assert caught.value.exit_code == 1
    assert "resumes from here" in str(caught.value)
    run_in(tmp_path, search(), StudySettings(trials=3, sampler="sobol"))
    assert [trial.state for trial in trials(tmp_path)] == ["complete"] * 3


def test_damaged_pages_are_one_sentence(tmp_path: Path) -> None:
    run_in(tmp_path, search(), ONE_TRIAL)
    file = tmp_path / "study.db"
    data = bytearray(file.read_bytes())
    data[8192:] = bytes(byte ^ 0x55 for byte in data[8192:])
    file.write_bytes(data)
    with pytest.raises(RunFolderError, match=r"study\.db: it cannot be used"):
        trials(tmp_path)


def test_a_medium_that_cannot_be_written_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_in(tmp_path, search(), ONE_TRIAL)
    before = sorted(path.name for path in tmp_path.iterdir())
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK and access(path, mode))
    assert len(trials(tmp_path)) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_a_closed_run_is_one_file(tmp_path: Path) -> None:
    run_in(tmp_path, search(), ONE_TRIAL)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("study.db-")]


def test_optunas_own_logging_is_as_it_was(tmp_path: Path) -> None:
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.DEBUG)
    try:
        run_in(tmp_path, search(), ONE_TRIAL)
        assert optuna.logging.get_verbosity() == optuna.logging.DEBUG
    finally:
        optuna.logging.set_verbosity(before)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(RunFolderError, match="cannot be used"):
        Database.create(sqlite_url(tmp_path / "study.db"))
