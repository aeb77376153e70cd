"""Trials as rows of Optuna's tables, which are written in a few statements.

Optuna's own storage asks the database three times for each parameter, and takes a transaction for
each attribute. The rows here are those that it would write: it reads them back, and so does its
dashboard.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from optuna.distributions import distribution_to_json
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.dialects import postgresql, sqlite

_STUDY: sa.Table = models.StudyModel.__table__
_STUDY_ATTRIBUTE: sa.Table = models.StudyUserAttributeModel.__table__
_TRIAL: sa.Table = models.TrialModel.__table__
_PARAMETER: sa.Table = models.TrialParamModel.__table__
_VALUE: sa.Table = models.TrialValueModel.__table__
_ATTRIBUTE: sa.Table = models.TrialUserAttributeModel.__table__
_NOTE: sa.Table = models.TrialSystemAttributeModel.__table__
_DIALECTS: Mapping[str, Any] = {"sqlite": sqlite, "postgresql": postgresql}


def insert_trial(connection: sa.Connection, study_id: int, trial: FrozenTrial) -> tuple[int, int]:
    """Insert a trial that runs from now on; return Optuna's id of it, and its number."""
    of_study = sa.select(_STUDY.c.study_id).where(_STUDY.c.study_id == study_id)
    connection.execute(of_study.with_for_update()).one()  # one process at a time counts
    count = sa.select(sa.func.count()).where(_TRIAL.c.study_id == study_id).scalar_subquery()
    insert = _TRIAL.insert().returning(_TRIAL.c.trial_id, _TRIAL.c.number)
    trial_id, number = connection.execute(
        insert.values(study_id=study_id, number=count, state=trial.state, datetime_start=_now())
    ).one()
    key = {"trial_id": trial_id}
    parameters = [
        {
            "param_name": name,
            "param_value": trial.distributions[name].to_internal_repr(value),
            "distribution_json": distribution_to_json(trial.distributions[name]),
        }
        for name, value in trial.params.items()
    ]
    rows = {
        _PARAMETER: parameters,
        _ATTRIBUTE: _attributes(trial.user_attrs),
        _NOTE: _attributes(trial.system_attrs),
    }
    for table, found in rows.items():
        if found:
            connection.execute(table.insert(), [key | row for row in found])
    return trial_id, number


def set_attributes(connection: sa.Connection, trial_id: int, attributes: Mapping[str, Any]) -> None:
    """Set attributes of a trial that runs.

    Raises:
        UpdateFinishedTrialError: It has finished.
    """
    _change(connection, trial_id, state=TrialState.RUNNING)
    if not attributes:
        return
    insert = _DIALECTS[connection.dialect.name].insert(_ATTRIBUTE)
    upsert = insert.on_conflict_do_update(
        index_elements=[_ATTRIBUTE.c.trial_id, _ATTRIBUTE.c.key],
        set_={"value_json": insert.excluded.value_json},
    )
    connection.execute(upsert, [{"trial_id": trial_id} | row for row in _attributes(attributes)])


def finish_trial(connection: sa.Connection, trial_id: int, values: Sequence[float] | None) -> None:
    """Finish a trial that runs: complete with its values, failed where there are none.

    Raises:
        UpdateFinishedTrialError: It has finished before.
    """
    state = TrialState.FAIL if values is None else TrialState.COMPLETE
    _change(connection, trial_id, state=state, datetime_complete=_now())
    rows = []
    for objective, value in enumerate(values or ()):
        stored, kind = models.TrialValueModel.value_to_stored_repr(value)
        row = {"trial_id": trial_id, "objective": objective, "value": stored, "value_type": kind}
        rows.append(row)
    if rows:
        connection.execute(_VALUE.insert(), rows)


def clear_study_attribute(connection: sa.Connection, study_id: int, key: str) -> None:
    """Set an attribute of a study to null, where it has one."""
    where = (_STUDY_ATTRIBUTE.c.study_id == study_id) & (_STUDY_ATTRIBUTE.c.key == key)
    is_set = _STUDY_ATTRIBUTE.c.value_json != "null"
    connection.execute(_STUDY_ATTRIBUTE.update().where(where, is_set).values(value_json="null"))


def _change(connection: sa.Connection, trial_id: int, **values: Any) -> None:
    """Change a trial that runs; until the transaction ends no other process does."""
    running = (_TRIAL.c.trial_id == trial_id) & (_TRIAL.c.state == TrialState.RUNNING)
    if not connection.execute(_TRIAL.update().where(running).values(**values)).rowcount:
        raise UpdateFinishedTrialError(f"the trial with id {trial_id} does not run")


def _attributes(attributes: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value_json": json.dumps(value)} for key, value in attributes.items()]


def _now() -> datetime:
    """The moment in UTC without its zone, as Optuna's tables have it since version 5."""
    return datetime.now(UTC).replace(tzinfo=None)
