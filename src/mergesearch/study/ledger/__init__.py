"""The append-only record of a run, in the same database as its study.

One row for the run, one a trial, one a trial and rung, one a score, one an item's result. What has
finished is never changed; each method below is one transaction, so that a killed process leaves a
trial either whole or visibly unfinished. Reading works while another process writes.
"""

import sqlite3
import zlib
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import astuple
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import sqlalchemy as sa

from mergesearch._system.closing import Closing
from mergesearch.errors import RunFolderError
from mergesearch.objectives import ItemResult, Rung, Score
from mergesearch.study.ledger.tables import ITEM, REFERENCE, RUN, RUNG, SCORE, TRIAL, metadata
from mergesearch.study.records import (
    COMPLETE,
    FAILED,
    INTERRUPTED,
    RUN_NAME,
    RUNNING,
    Axis,
    Measurement,
    Reference,
    RungRecord,
    RunRecord,
    TrialRecord,
)

__all__ = [
    "COMPLETE",
    "DATABASE",
    "FAILED",
    "INTERRUPTED",
    "RUNNING",
    "RUN_NAME",
    "Axis",
    "Ledger",
    "Measurement",
    "Reference",
    "RunRecord",
    "RungRecord",
    "TrialRecord",
    "database_url",
]

DATABASE = "study.db"
"""Name of the database inside a run folder."""

_WAIT_SECONDS = 60.0


class Ledger(Closing):
    """The record of one run; opened for writing by the run, for reading by everything else."""

    def __init__(self, url: str, name: str = RUN_NAME, *, create: bool = False) -> None:
        self._name = name
        self._engine = sa.create_engine(url, connect_args=_connect_args(url))
        if create:
            metadata.create_all(self._engine)

    @classmethod
    def create(cls, folder: Path, name: str = RUN_NAME) -> Self:
        """Open the ledger of a run folder for writing; its database is made where it is missing.

        The database keeps a write-ahead log, so that reading never waits for writing.

        Raises:
            RunFolderError: what stands in the database's place is none.
        """
        try:
            with closing(sqlite3.connect(folder / DATABASE, timeout=_WAIT_SECONDS)) as connection:
                connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.DatabaseError as error:
            raise RunFolderError(f"{DATABASE} cannot be used: {error}", where=folder) from error
        return cls(database_url(folder), name, create=True)

    @classmethod
    def open(cls, folder: Path, name: str = RUN_NAME) -> Self:
        """Open the ledger of a run folder for reading only.

        Raises:
            RunFolderError: the folder holds no run.
        """
        path = folder / DATABASE
        if not path.is_file():
            raise RunFolderError(
                f"no {DATABASE} in it, so this is no run folder",
                where=folder,
                fix="name the folder that `search run` wrote (its --out)",
            )
        ledger = cls(f"sqlite:///file:{path.resolve()}?mode=ro&uri=true", name)
        try:
            ledger.run()
        except RunFolderError as error:
            ledger.close()
            raise RunFolderError(f"{DATABASE} holds no run", where=folder) from error
        except sa.exc.DatabaseError as error:
            ledger.close()
            if "no such table" in str(error.orig):
                raise RunFolderError(f"{DATABASE} holds no run", where=folder) from error
            raise RunFolderError(
                f"{DATABASE} cannot be read: {error.orig}",
                where=folder,
                fix="a copy of a run needs study.db-wal too, and a folder that can be written",
            ) from error
        return ledger

    def close(self) -> None:
        """Close the connection; the write-ahead log is folded into the database."""
        self._engine.dispose()

    def begin_run(self, run: RunRecord) -> None:
        """Record what this run is; once."""
        row = {
            "name": self._name,
            "created": run.created.timestamp(),
            "space": run.space,
            "objectives": dict(run.objectives),
            "axes": [list(astuple(axis)) for axis in run.axes],
            "fingerprints": dict(run.fingerprints),
            "versions": dict(run.versions),
            "seed": run.seed,
            "sampler": run.sampler,
        }
        with self._engine.begin() as connection:
            connection.execute(RUN.insert(), row)

    def has_run(self) -> bool:
        """Whether `begin_run` has been called on this database."""
        with self._engine.connect() as connection:
            return self._run_row(connection) is not None

    def run(self) -> RunRecord:
        """Return what this run is.

        Raises:
            RunFolderError: the database holds no run of this name.
        """
        with self._engine.connect() as connection:
            row = self._run_row(connection)
        if row is None:
            raise RunFolderError(f"the database holds no run {self._name!r}")
        return RunRecord(
            space=row.space,
            objectives=row.objectives,
            axes=tuple(Axis(*axis) for axis in row.axes),
            fingerprints=row.fingerprints,
            versions=row.versions,
            seed=row.seed,
            sampler=row.sampler,
            name=row.name,
            created=datetime.fromtimestamp(row.created, UTC),
        )

    def begin_trial(
        self,
        number: int,
        *,
        parameters: Mapping[str, Any],
        recipe: Mapping[str, Any],
        recipe_digest: str,
        shares: Mapping[str, float],
    ) -> None:
        """Record that a trial is about to be built; a trial begun before is begun again.

        Raises:
            ValueError: the trial has already finished.
        """
        with self._engine.begin() as connection:
            run_id = self._run_id(connection)
            key = _key(TRIAL, run_id, number)
            before = connection.execute(sa.select(TRIAL).where(key)).one_or_none()
            _refuse_finished(before)
            connection.execute(TRIAL.delete().where(key))
            row = {
                "run_id": run_id,
                "number": number,
                "state": RUNNING,
                "attempt": 1 if before is None else before.attempt + 1,
                "parameters": dict(parameters),
                "recipe": dict(recipe),
                "recipe_digest": recipe_digest,
                "shares": dict(shares),
                "started": _now(),
            }
            connection.execute(TRIAL.insert(), row)

    def interrupt_trial(self, number: int) -> None:
        """Record that the running trial was stopped and has to be begun again."""
        with self._engine.begin() as connection:
            self._update_trial(connection, number, {"state": INTERRUPTED, "ended": _now()})

    def finish_trial(
        self,
        number: int,
        measured: Measurement,
        *,
        rung: str = Rung.SEARCH,
        promoted: Measurement | None = None,
    ) -> None:
        """Record the end of a trial with everything that was measured.

        Args:
            number: of the trial.
            measured: on `rung`; whether it failed is whether the trial did.
            rung: the first rung of the search.
            promoted: what was measured on the search rung after a proxy.

        Raises:
            ValueError: the trial has already finished, or was never begun.
        """
        with self._engine.begin() as connection:
            ending = {
                "state": COMPLETE if measured.failure is None else FAILED,
                "candidate_digest": measured.digest,
                "candidate_size": measured.size,
                "reused_from": measured.reused_from,
                "failure": measured.failure,
                "ended": _now(),
            }
            self._update_trial(connection, number, ending)
            self._insert_rung(connection, number, rung, measured)
            if promoted is not None:
                self._insert_rung(connection, number, Rung.SEARCH, promoted)

    def record_rung(self, number: int, rung: str, measured: Measurement) -> None:
        """Record a finished trial's measurement on a further rung; a failed one is replaced.

        Raises:
            ValueError: the trial has scores on this rung already.
        """
        with self._engine.begin() as connection:
            self._insert_rung(connection, number, rung, measured)

    def record_references(self, references: Sequence[Reference]) -> None:
        """Record the specialists' answers that proxies are made of; once."""
        with self._engine.begin() as connection:
            run_id = self._run_id(connection)
            rows = [
                {
                    "run_id": run_id,
                    "task": one.task,
                    "item": one.item,
                    "parent": one.parent,
                    "text": zlib.compress(one.text.encode()),
                }
                for one in references
            ]
            connection.execute(REFERENCE.insert(), rows)

    def references(self) -> tuple[Reference, ...]:
        """Return the answers that proxies are made of, by task and item."""
        with self._engine.connect() as connection:
            key = REFERENCE.c.run_id == self._run_id(connection)
            query = sa.select(REFERENCE).where(key).order_by(REFERENCE.c.task, REFERENCE.c.item)
            rows = connection.execute(query).all()
        return tuple(
            Reference(row.task, row.item, row.parent, zlib.decompress(row.text).decode())
            for row in rows
        )

    def trials(self) -> tuple[TrialRecord, ...]:
        """Return every trial, by number."""
        return self._read_trials()

    def trial(self, number: int) -> TrialRecord | None:
        """Return one trial, None where there is none of this number."""
        found = self._read_trials(number)
        return found[0] if found else None

    def items(
        self, number: int, rung: str = Rung.SEARCH, task: str | None = None
    ) -> tuple[ItemResult, ...]:
        """Return a trial's item results on a rung, by task and item.

        A trial that reused another's scores has none of its own: ask for `reused_from`.
        """
        with self._engine.connect() as connection:
            key = _key(ITEM, self._run_id(connection), number) & (ITEM.c.rung == rung)
            if task is not None:
                key &= ITEM.c.task == task
            query = sa.select(ITEM).where(key).order_by(ITEM.c.task, ITEM.c.item)
            rows = connection.execute(query).all()
        return tuple(
            ItemResult(
                task=row.task,
                item=row.item,
                metrics=row.metrics,
                unscored=row.unscored,
                tokens_in=row.tokens_in,
                tokens_out=row.tokens_out,
                cut=row.cut,
                seconds=row.seconds,
                text=None if row.text is None else zlib.decompress(row.text).decode(),
            )
            for row in rows
        )

    def _run_row(self, connection: sa.Connection) -> Any:
        query = sa.select(RUN).where(RUN.c.name == self._name)
        return connection.execute(query).one_or_none()

    def _run_id(self, connection: sa.Connection) -> int:
        row = self._run_row(connection)
        if row is None:
            raise RunFolderError(f"the database holds no run {self._name!r}")
        return int(row.id)

    def _update_trial(
        self, connection: sa.Connection, number: int, values: Mapping[str, Any]
    ) -> None:
        key = _key(TRIAL, self._run_id(connection), number)
        before = connection.execute(sa.select(TRIAL).where(key)).one_or_none()
        if before is None:
            raise ValueError(f"trial {number} was never begun")
        _refuse_finished(before)
        connection.execute(TRIAL.update().where(key).values(**values))

    def _insert_rung(
        self, connection: sa.Connection, number: int, rung: str, measured: Measurement
    ) -> None:
        run_id = self._run_id(connection)
        key = {"run_id": run_id, "number": number, "rung": rung}
        same = _key(RUNG, run_id, number) & (RUNG.c.rung == rung)
        before = connection.execute(sa.select(RUNG).where(same)).one_or_none()
        if before is not None and before.failure is None:
            raise ValueError(f"trial {number} has scores on {rung} already")
        for table in (RUNG, ITEM):
            there = _key(table, run_id, number) & (table.c.rung == rung)
            connection.execute(table.delete().where(there))
        row = {
            "build_seconds": measured.build_seconds,
            "score_seconds": measured.score_seconds,
            "failure": measured.failure,
            "ended": _now(),
        }
        connection.execute(RUNG.insert(), key | row)
        scores = [
            key | {"objective": name} | vars(score) for name, score in measured.scores.items()
        ]
        items = [
            key | _item_row(item) for result in measured.results.values() for item in result.items
        ]
        for table, rows in ((SCORE, scores), (ITEM, items)):
            if rows:
                connection.execute(table.insert(), rows)

    def _read_trials(self, number: int | None = None) -> tuple[TrialRecord, ...]:
        with self._engine.connect() as connection:  # one transaction: one moment of the run
            run_id = self._run_id(connection)
            trials, rungs, scores = (
                connection.execute(
                    sa.select(table).where(_key(table, run_id, number)).order_by(table.c.number)
                ).all()
                for table in (TRIAL, RUNG, SCORE)
            )
        by_rung: dict[tuple[int, str], dict[str, Score]] = {}
        for row in scores:
            score = Score(row.value, row.stderr, row.n, row.n_unscored)
            by_rung.setdefault((row.number, row.rung), {})[row.objective] = score
        by_trial: dict[int, dict[str, RungRecord]] = {}
        for row in rungs:
            found = by_rung.get((row.number, row.rung), {})
            by_trial.setdefault(row.number, {})[row.rung] = _rung_record(row, found)
        return tuple(_trial_record(row, by_trial.get(row.number, {})) for row in trials)


def database_url(folder: Path) -> str:
    """Return the SQLAlchemy URL of a run folder's database."""
    return f"sqlite:///{folder / DATABASE}"


def _connect_args(url: str) -> dict[str, Any]:
    return {"timeout": _WAIT_SECONDS} if url.startswith("sqlite") else {}


def _now() -> float:
    return datetime.now(UTC).timestamp()


def _key(table: sa.Table, run_id: int, number: int | None) -> sa.ColumnElement[bool]:
    key = table.c.run_id == run_id
    return key if number is None else key & (table.c.number == number)


def _refuse_finished(row: Any) -> None:
    if row is not None and row.state in (COMPLETE, FAILED):
        raise ValueError(f"trial {row.number} has finished and never changes")


def _item_row(item: ItemResult) -> dict[str, Any]:
    return {
        "task": item.task,
        "item": item.item,
        "metrics": dict(item.metrics),
        "unscored": item.unscored,
        "tokens_in": item.tokens_in,
        "tokens_out": item.tokens_out,
        "cut": item.cut,
        "seconds": item.seconds,
        "text": None if item.text is None else zlib.compress(item.text.encode()),
    }


def _rung_record(row: Any, scores: Mapping[str, Score]) -> RungRecord:
    return RungRecord(
        rung=row.rung,
        scores=scores,
        build_seconds=row.build_seconds,
        score_seconds=row.score_seconds,
        failure=row.failure,
        ended=datetime.fromtimestamp(row.ended, UTC),
    )


def _trial_record(row: Any, rungs: Mapping[str, RungRecord]) -> TrialRecord:
    values: dict[str, Any] = {
        column: value for column, value in row._mapping.items() if column != "run_id"
    }
    values["started"] = datetime.fromtimestamp(row.started, UTC)
    values["ended"] = None if row.ended is None else datetime.fromtimestamp(row.ended, UTC)
    return TrialRecord(**values, rungs=rungs)
