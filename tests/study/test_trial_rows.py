"""Rows of trials, against those that Optuna's own storage writes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy as sa
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from mergesearch.study.trial_rows import (
    clear_study_attribute,
    finish_trial,
    insert_trial,
    set_attributes,
)

TABLES = (
    "trials",
    "trial_params",
    "trial_values",
    "trial_user_attributes",
    "trial_system_attributes",
    "study_user_attributes",
)
DISTRIBUTIONS = {
    "merge_method": CategoricalDistribution(("linear", "ties")),
    "weight": FloatDistribution(0.0, 1.5),
}
Write = Callable[[optuna.storages.RDBStorage, int], None]


def proposal(**attributes: Any) -> FrozenTrial:
    return create_trial(
        state=TrialState.RUNNING,
        params={"merge_method": "ties", "weight": 0.1},
        distributions=DISTRIBUTIONS,
        user_attrs=attributes,
        system_attrs={"NSGAIISampler:generation": 3},
    )


def by_optuna(storage: optuna.storages.RDBStorage, study: int) -> None:
    first = storage.create_new_trial(study, proposal(recipe={"a": [1, None]}, words=["ä"]))
    second = storage.create_new_trial(study, proposal())
    storage.set_trial_user_attr(first, "digest", "d" * 64)
    storage.set_trial_user_attr(first, "words", [])
    storage.set_trial_state_values(first, TrialState.COMPLETE, [0.25, float("inf")])
    storage.set_trial_user_attr(second, "failure", "killed")
    storage.set_trial_state_values(second, TrialState.FAIL)
    storage.set_study_user_attr(study, "confirmed", None)


def by_rows(storage: optuna.storages.RDBStorage, study: int) -> None:
    with storage.engine.begin() as connection:
        clear_study_attribute(connection, study, "confirmed")
        clear_study_attribute(connection, study, "unknown")
        attributes: dict[str, Any] = {"recipe": {"a": [1, None]}, "words": ["ä"]}
        first, number = insert_trial(connection, study, proposal(**attributes))
        assert number == 0
        second, number = insert_trial(connection, study, proposal())
        assert number == 1
        set_attributes(connection, first, {"digest": "d" * 64, "words": []})
        finish_trial(connection, first, [0.25, float("inf")])
        set_attributes(connection, second, {"failure": "killed"})
        finish_trial(connection, second, None)


def written(file: Path, write: Write) -> dict[str, Sequence[Any]]:
    """All that was written, but for moments."""
    storage = optuna.storages.RDBStorage(f"sqlite:///{file}")
    storage.create_new_study([optuna.study.StudyDirection.MAXIMIZE] * 2, "another")
    study = storage.create_new_study([optuna.study.StudyDirection.MAXIMIZE] * 2, "night")
    storage.set_study_user_attr(study, "confirmed", {"members": []})
    write(storage, study)
    found: dict[str, Sequence[Any]] = {}
    with storage.engine.connect() as connection:
        for name in TABLES:
            table = sa.Table(name, sa.MetaData(), autoload_with=connection)
            columns = [column for column in table.c if "datetime" not in column.name]
            found[name] = connection.execute(sa.select(*columns).order_by(columns[0])).all()
    storage.engine.dispose()
    return found


def test_they_are_those_that_optuna_writes(tmp_path: Path) -> None:
    theirs = written(tmp_path / "theirs.db", by_optuna)
    assert len(theirs["trial_params"]) == 4
    assert written(tmp_path / "ours.db", by_rows) == theirs


@pytest.fixture
def far_east(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A clock that is not that of UTC."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("far_east")
def test_moments_are_read_back_as_optuna_reads_its_own(tmp_path: Path) -> None:
    storage = optuna.storages.RDBStorage(f"sqlite:///{tmp_path / 'x.db'}")
    study = storage.create_new_study([optuna.study.StudyDirection.MAXIMIZE], "night")
    theirs = storage.get_trial(storage.create_new_trial(study, proposal()))
    with storage.engine.begin() as connection:
        ours, _ = insert_trial(connection, study, proposal())
        finish_trial(connection, ours, [0.5])
    found = storage.get_trial(ours)
    assert theirs.datetime_start is not None
    assert found.datetime_start is not None
    assert found.datetime_complete is not None
    assert 0 <= (found.datetime_start - theirs.datetime_start).total_seconds() < 60
    assert found.datetime_start <= found.datetime_complete
    storage.engine.dispose()


def test_a_finished_trial_never_changes(tmp_path: Path) -> None:
    storage = optuna.storages.RDBStorage(f"sqlite:///{tmp_path / 'x.db'}")
    study = storage.create_new_study([optuna.study.StudyDirection.MAXIMIZE], "night")
    with storage.engine.begin() as connection:
        trial, _ = insert_trial(connection, study, proposal())
        finish_trial(connection, trial, [0.5])
    for change in (
        lambda connection: set_attributes(connection, trial, {"digest": "d"}),
        lambda connection: finish_trial(connection, trial, None),
    ):
        with (
            pytest.raises(optuna.exceptions.UpdateFinishedTrialError),
            storage.engine.begin() as connection,
        ):
            change(connection)
    assert storage.get_trial(trial).values == [0.5]
    storage.engine.dispose()
