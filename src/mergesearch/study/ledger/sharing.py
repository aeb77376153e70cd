"""What the workers of a shared run tell each other: terms, signs of life, and who confirms what.

The tables are made when a run is first shared; one that a single process works on has none.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from mergesearch.study.ledger.tables import table_of_run
from mergesearch.study.records import WorkerRecord
from mergesearch.study.servers import session_name

_metadata = sa.MetaData()
TERMS = table_of_run("terms", sa.Column("document", sa.JSON, nullable=False), within=_metadata)
WORKER = table_of_run(
    "worker",
    sa.Column("worker", sa.Integer, primary_key=True),
    sa.Column("host", sa.String(255), nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("joined", sa.Float(53), nullable=False),  # seconds since 1970 by the server's clock
    sa.Column("seen", sa.Float(53), nullable=False),  # likewise, its last sign of life
    sa.Column("left", sa.Float(53)),  # likewise, NULL for one that may still be at work
    within=_metadata,
)
CONFIRMING = table_of_run(
    "confirming",
    sa.Column("trial", sa.Integer, primary_key=True),
    sa.Column("worker", sa.Integer, nullable=False),
    sa.Column("done", sa.Boolean, nullable=False),
    within=_metadata,
)


class Sharing:
    """The workers of one run, in its database. Each method is one transaction.

    Args:
        run_id: Id of the run in the ledger.
    """

    def __init__(self, engine: sa.Engine, run_id: int) -> None:
        self.engine = engine
        self._run_id = run_id

    def publish(self, terms: Mapping[str, Any]) -> None:
        """Record what workers need to join besides the run; makes the tables where they miss."""
        _metadata.create_all(self.engine)
        with self.engine.begin() as connection:
            connection.execute(TERMS.delete().where(self._of(TERMS)))
            connection.execute(TERMS.insert(), {"run_id": self._run_id, "document": dict(terms)})

    def is_possible(self) -> bool:
        """Whether the database has the tables."""
        return sa.inspect(self.engine).has_table(TERMS.name)

    def terms(self) -> Mapping[str, Any] | None:
        """Return what was published, None for a run that is not shared."""
        if not self.is_possible():
            return None
        with self.engine.connect() as connection:
            return connection.execute(sa.select(TERMS.c.document).where(self._of(TERMS))).scalar()

    def join(self, host: str, pid: int) -> int:
        """Record a worker, and return its number."""
        now = self._now()
        highest = sa.select(sa.func.coalesce(sa.func.max(WORKER.c.worker), 0))
        number = highest.where(self._of(WORKER)).scalar_subquery() + 1
        row = {"run_id": self._run_id, "worker": number, "host": host, "pid": pid}
        insert = WORKER.insert().values(**row, joined=now, seen=now).returning(WORKER.c.worker)
        while True:
            try:
                with self.engine.begin() as connection:
                    return int(connection.execute(insert).scalar_one())
            except sa.exc.IntegrityError:
                continue  # another one has taken the number

    def give_sign(self, worker: int) -> None:
        """Record that a worker is alive, even if it was taken for lost."""
        self._change(WORKER.c.worker == worker, seen=self._now(), left=None)

    def leave(self, **who: int | str) -> None:
        """Record that workers have left or were lost; what they had started is for others.

        Args:
            **who: Value of columns by which they are known, such as `worker`; none for all.
        """
        are_they = [WORKER.c[name] == value for name, value in who.items()]
        self._change(sa.and_(WORKER.c.left.is_(None), *are_they), left=self._now())

    def end_sessions(self, host: str, pid: int) -> None:
        """Let the server end all that a process holds, such as the turn in which it sleeps."""
        if self.engine.dialect.name == "postgresql":
            sessions = sa.text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND application_name = :name"
            )
            with self.engine.begin() as connection:
                connection.execute(sessions, {"name": session_name(host, pid)})

    def workers(self) -> tuple[WorkerRecord, ...]:
        """Return every worker that ever joined, by number."""
        query = sa.select(WORKER, sa.cast(self._now(), sa.Float(53)).label("now"))
        with self.engine.connect() as connection:
            found = connection.execute(
                query.where(self._of(WORKER)).order_by(WORKER.c.worker)
            ).all()
        return tuple(
            WorkerRecord(
                number=row.worker,
                host=row.host,
                pid=row.pid,
                hours=max(0.0, (row.seen if row.left is None else row.left) - row.joined) / 3600,
                seen=row.seen,
                silent_seconds=max(0.0, row.now - row.seen),
                has_left=row.left is not None,
            )
            for row in found
        )

    def start_confirming(self, trial: int, worker: int) -> None:
        """Record that a worker scores a member of the front; in its turn."""
        of_trial = self._of(CONFIRMING) & (CONFIRMING.c.trial == trial)
        row = {"run_id": self._run_id, "trial": trial, "worker": worker, "done": False}
        with self.engine.begin() as connection:
            connection.execute(CONFIRMING.delete().where(of_trial))
            connection.execute(CONFIRMING.insert(), row)

    def end_confirming(self, trial: int) -> None:
        """Record that a member of the front is scored, or could not be."""
        of_trial = self._of(CONFIRMING) & (CONFIRMING.c.trial == trial)
        with self.engine.begin() as connection:
            connection.execute(CONFIRMING.update().where(of_trial).values(done=True))

    def confirming(self) -> dict[int, tuple[int, bool]]:
        """Return who scores each member of the front, and whether that is done, by trial."""
        with self.engine.connect() as connection:
            found = connection.execute(sa.select(CONFIRMING).where(self._of(CONFIRMING))).all()
        return {row.trial: (row.worker, row.done) for row in found}

    def _of(self, table: sa.Table) -> sa.ColumnElement[bool]:
        return table.c.run_id == self._run_id

    def _change(self, which: sa.ColumnElement[bool], **values: Any) -> None:
        with self.engine.begin() as connection:
            connection.execute(WORKER.update().where(self._of(WORKER), which).values(**values))

    def _now(self) -> Any:
        """Seconds since 1970: by the server's clock, which all machines share."""
        if self.engine.dialect.name == "postgresql":
            return sa.extract("epoch", sa.func.clock_timestamp())
        return time.time()
