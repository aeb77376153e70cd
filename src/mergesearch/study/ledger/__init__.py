"""The ledger: what a run has on record that Optuna's study cannot hold.

What the run is, every trial's scores by rung, every item's result, and the answers that proxies are
made of; keyed by the number of the trial. A measurement that succeeded never changes.
"""

import json
from collections.abc import Mapping, Sequence
from functools import cache

import sqlalchemy as sa

from mergesearch.objectives import ItemResult, Rung, Score
from mergesearch.study.ledger import rows
from mergesearch.study.ledger.tables import ITEM, REFERENCE, RUN, RUNG, SCORE
from mergesearch.study.records import Measurement, Reference, RunRecord
from mergesearch.study.waiting import ServerWait, waits_for_server

__all__ = ["Ledger", "add_run", "runs"]


def runs(engine: sa.Engine) -> dict[int, RunRecord]:
    """Return the runs of a database by the ledger's id, in the order in which they started."""
    with engine.connect() as connection:
        found = connection.execute(sa.select(RUN).order_by(RUN.c.id)).all()
    return {row.id: rows.run_from_row(row) for row in found}


def add_run(engine: sa.Engine, run: RunRecord) -> int:
    """Record a new run and return its id in the ledger."""
    with engine.begin() as connection:
        key = connection.execute(RUN.insert(), rows.run_to_row(run)).inserted_primary_key
    assert key is not None
    return int(key[0])


class Ledger:
    """The ledger of one run. Each method is one transaction.

    Args:
        engine: Engine of the database.
        run_id: Id of the run, from `runs` or `add_run`.
        server_wait: What waits for the server of the database.

    Attributes:
        run_id: Id of the run.
        server_wait: What waits for the server of the database.
    """

    def __init__(
        self, engine: sa.Engine, run_id: int, server_wait: ServerWait | None = None
    ) -> None:
        self._engine = engine
        self.run_id = run_id
        self.server_wait = server_wait or ServerWait()

    def record(self, trial: int, measured: Mapping[Rung, Measurement]) -> None:
        """Record what a trial gave on some rungs; a measurement that failed is replaced.

        Raises:
            ValueError: The trial has scores on one of the rungs already.
        """
        with self._engine.begin() as connection:
            for rung, measurement in measured.items():
                self._insert(connection, trial, rung, measurement)

    @waits_for_server
    def rungs(self, trial: int | None = None) -> dict[int, dict[Rung, Measurement]]:
        """Return the measurements of one trial, or of all, by trial and rung."""
        with self._engine.connect() as connection:
            measured, scored = (
                connection.execute(
                    sa.select(table).where(self._of(table, trial)).order_by(table.c.trial)
                ).all()
                for table in (RUNG, SCORE)
            )
        scores: dict[tuple[int, str], dict[str, Score]] = {}
        for row in scored:
            scores.setdefault((row.trial, row.rung), {})[row.objective] = rows.score_from_row(row)
        records: dict[int, dict[Rung, Measurement]] = {}
        for row in measured:
            found = rows.rung_from_row(row, scores.get((row.trial, row.rung), {}))
            records.setdefault(row.trial, {})[Rung(row.rung)] = found
        return records

    @waits_for_server
    def items(self, trial: int, rung: Rung, task: str | None = None) -> tuple[ItemResult, ...]:
        """Return a trial's item results on a rung, by task and item; empty where it has none."""
        of_rung = self._of(ITEM, trial) & (ITEM.c.rung == rung)
        of_task = sa.true() if task is None else ITEM.c.task == task
        query = sa.select(ITEM).where(of_rung, of_task).order_by(ITEM.c.task, ITEM.c.item)
        with self._engine.connect() as connection:
            return tuple(map(rows.item_from_row, connection.execute(query)))

    @waits_for_server
    def results(self, rung: Rung) -> dict[int, list[ItemResult]]:
        """Return what every trial's items gave on a rung, by trial; without texts and costs."""
        key = (ITEM.c.trial, ITEM.c.task, ITEM.c.item)
        query = sa.select(*key, sa.cast(ITEM.c.metrics, sa.Text), ITEM.c.unscored)
        query = query.where(self._of(ITEM), ITEM.c.rung == rung).order_by(*key)
        parsed = cache(json.loads)  # few texts differ, and there are tens of thousands
        results: dict[int, list[ItemResult]] = {}
        with self._engine.connect() as connection:
            found = connection.execute(query).all()
        for trial, task, number, metrics, unscored in found:
            item = ItemResult(task, number, parsed(metrics), unscored)
            results.setdefault(trial, []).append(item)
        return results

    @waits_for_server
    def tokens(self, trial: int | None = None) -> dict[int, int]:
        """Return how many tokens the items of one trial took, or those of all, by trial."""
        total = sa.func.sum(ITEM.c.tokens_in + ITEM.c.tokens_out)
        query = sa.select(ITEM.c.trial, total).where(self._of(ITEM, trial)).group_by(ITEM.c.trial)
        with self._engine.connect() as connection:
            return {number: int(tokens) for number, tokens in connection.execute(query)}

    def record_references(self, references: Sequence[Reference]) -> None:
        """Record the specialists' answers that proxies are made of; once."""
        key = {"run_id": self.run_id}
        with self._engine.begin() as connection:
            found = [key | rows.reference_to_row(reference) for reference in references]
            connection.execute(REFERENCE.insert(), found)

    @waits_for_server
    def references(self) -> tuple[Reference, ...]:
        """Return the answers that proxies are made of, by task and item."""
        query = sa.select(REFERENCE).where(self._of(REFERENCE))
        with self._engine.connect() as connection:
            found = connection.execute(query.order_by(REFERENCE.c.task, REFERENCE.c.item))
            return tuple(map(rows.reference_from_row, found))

    def _of(self, table: sa.Table, trial: int | None = None) -> sa.ColumnElement[bool]:
        """The rows of this run, or of one trial of it."""
        of_run = table.c.run_id == self.run_id
        return of_run if trial is None else of_run & (table.c.trial == trial)

    def _insert(
        self, connection: sa.Connection, trial: int, rung: Rung, measured: Measurement
    ) -> None:
        of_rung = self._of(RUNG, trial) & (RUNG.c.rung == rung)
        before = connection.execute(sa.select(RUNG.c.failure).where(of_rung)).one_or_none()
        if before is not None:
            if before.failure is None:
                raise ValueError(f"trial {trial} has scores on {rung} already")
            for table in (RUNG, ITEM):
                of_rung = self._of(table, trial) & (table.c.rung == rung)
                connection.execute(table.delete().where(of_rung))
        key = {"run_id": self.run_id, "trial": trial, "rung": rung}
        scores = [rows.score_to_row(name, score) for name, score in measured.scores.items()]
        items = [rows.item_to_row(item) for item in measured.items]
        inserted = {RUNG: [rows.rung_to_row(measured)], SCORE: scores, ITEM: items}
        for table, found in inserted.items():
            if found:
                connection.execute(table.insert(), [key | row for row in found])
