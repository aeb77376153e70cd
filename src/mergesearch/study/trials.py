"""The trials of a study, which Optuna keeps: parameters, state, values, and what else is known.

What a trial has beside its parameters and values is in user attributes, where optuna-dashboard
shows it:

| attribute | set |
|---|---|
| `recipe`, `recipe_digest`, `shares`, `words` | with the proposal |
| `attempts` (moments of starting, ISO 8601) | with the proposal, and whenever it is done again |
| `digest`, `size` (of the GGUF) | once the candidate is built |
| `worker` (its number) | with the proposal and with each attempt, where workers share the run |
| `unseen` (numbers of trials) | with the proposal, where trials before it still ran |
| `reused_from` | once an earlier trial is found to have the same recipe or the same GGUF |
| `race` (see `records.RaceRecord`) | once it is scored on parts of the search items |
| `standard_errors` (by objective) | when it is complete |
| `failure` | when it has failed |
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Self

import optuna
from optuna.trial import FrozenTrial, TrialState, create_trial

from mergesearch.errors import MergeSearchError, RunFolderError
from mergesearch.objectives import Rung
from mergesearch.recipe import Recipe
from mergesearch.space import Dimension
from mergesearch.study.database import Database
from mergesearch.study.records import (
    Measurement,
    Observation,
    RaceRecord,
    RunRecord,
    State,
    TrialRecord,
)
from mergesearch.study.samplers.from_optuna import OPTUNA_STATES, distributions, quiet
from mergesearch.study.samplers.problem import Proposal
from mergesearch.study.trial_rows import (
    clear_study_attribute,
    finish_trial,
    insert_trial,
    set_attributes,
)
from mergesearch.study.waiting import waits_for_server

_CONFIRMED = "confirmed"
"""Attribute of the study that holds the confirmed front."""
_STATES = {theirs: ours for ours, theirs in OPTUNA_STATES.items()}


class Trials:
    """The trials of one study.

    What is read is kept: only trials that were not finished are read again.
    """

    def __init__(self, database: Database, study: optuna.Study) -> None:
        self.server_wait = database.server_wait
        self._storage = database.storage
        self._study = study
        self._study_id = self._storage.get_study_id_from_name(study.study_name)
        self._ids: dict[int, int] = {}  # Optuna's id of a trial, by its number

    @classmethod
    def open(cls, database: Database, run: RunRecord) -> Self:
        """Open the study of a run on record."""
        return cls(database, optuna.load_study(study_name=run.name, storage=database.storage))

    @classmethod
    def create(cls, database: Database, run: RunRecord, *, load_if_exists: bool) -> Self:
        """Make the study of a run, or open it.

        Raises:
            RunFolderError: There is a study with the run's name already, and it is not the run's.
        """
        try:
            with quiet():
                study = optuna.create_study(
                    study_name=run.name,
                    storage=database.storage,
                    directions=[axis.direction for axis in run.axes],
                    load_if_exists=load_if_exists,
                )
        except optuna.exceptions.DuplicatedStudyError:
            raise RunFolderError(
                f"the database has a study named {run.name} already",
                fix="give the run another name",
            ) from None
        with quiet():
            study.set_metric_names([axis.name for axis in run.axes])
        return cls(database, study)

    @waits_for_server
    def all(self) -> list[FrozenTrial]:
        """Return every trial, by number."""
        return self._study.get_trials(deepcopy=False)

    def start(
        self,
        proposal: Proposal,
        dimensions: Sequence[Dimension],
        recipe: Recipe | None,
        shares: Mapping[str, float],
        words: Sequence[str] = (),
        **more: Any,
    ) -> int:
        """Record a proposal as a trial that is started now, and return its number.

        A front that was confirmed before is no longer that of the run.

        Args:
            recipe: Recipe that the parameters give, None where they give none.
            **more: Further attributes of the trial.
        """
        attributes = {
            "recipe": {} if recipe is None else recipe.to_dict(),
            "recipe_digest": "" if recipe is None else recipe.digest(),
            "shares": dict(shares),
            "words": list(words),
            "attempts": [moment()],
            **more,
        }
        trial = create_trial(
            state=TrialState.RUNNING,
            params=dict(proposal.parameters),
            distributions=distributions(dimensions),
            user_attrs=attributes,
            system_attrs=dict(proposal.notes),
        )
        with self._storage.engine.begin() as connection:
            clear_study_attribute(connection, self._study_id, _CONFIRMED)
            trial_id, number = insert_trial(connection, self._study_id, trial)
        self._ids[number] = trial_id
        return number

    @waits_for_server
    def note(self, number: int, **attributes: Any) -> None:
        """Record attributes of an unfinished trial.

        Raises:
            MergeSearchError: Another worker took this one for lost, and finished the trial.
        """
        trial_id = self._id(number)
        with _of_running(number), self._storage.engine.begin() as connection:
            set_attributes(connection, trial_id, attributes)

    def tell(self, number: int, values: Sequence[float] | None, **attributes: Any) -> None:
        """Finish a trial: complete with its values, failed where there are none.

        Raises:
            MergeSearchError: Another worker has finished it.
        """
        trial_id = self._id(number)
        with _of_running(number), self._storage.engine.begin() as connection:
            set_attributes(connection, trial_id, attributes)
            finish_trial(connection, trial_id, values)

    @waits_for_server
    def conclude(self, confirmed: Mapping[str, Any]) -> None:
        """Record the confirmed front; one of an earlier end of the run is replaced."""
        self._study.set_user_attr(_CONFIRMED, dict(confirmed))

    @waits_for_server
    def conclusion(self) -> Mapping[str, Any] | None:
        """Return the confirmed front, None before there is one."""
        found: Mapping[str, Any] | None = self._study.user_attrs.get(_CONFIRMED)
        return found

    def _id(self, number: int) -> int:
        if number not in self._ids:
            self._ids[number] = self._storage.get_trial_id_from_study_id_trial_number(
                self._study_id, number
            )
        return self._ids[number]


@contextmanager
def _of_running(number: int) -> Iterator[None]:
    """Turn into our own error that a trial no longer runs."""
    try:
        yield
    except optuna.exceptions.UpdateFinishedTrialError:
        raise MergeSearchError("another worker has finished it", where=f"trial {number}") from None


def observation(trial: FrozenTrial, run: RunRecord) -> Observation:
    """Return what a sampler knows of a trial."""
    errors = trial.user_attrs.get("standard_errors", {})
    return Observation(
        parameters=trial.params,
        state=_STATES[trial.state],
        values=tuple(trial.values or ()),
        standard_errors=tuple(errors[axis.name] for axis in run.axes if errors),
        notes=trial.system_attrs,
    )


def trial_record(trial: FrozenTrial, rungs: Mapping[Rung, Measurement]) -> TrialRecord:
    """Return all that is on record about a trial but its items."""
    known = trial.user_attrs
    state = _STATES[trial.state]
    ends = [found.ended for rung, found in rungs.items() if rung is not Rung.VALIDATE]
    return TrialRecord(
        number=trial.number,
        state=state,
        attempt=len(known["attempts"]),
        parameters=trial.params,
        recipe=known["recipe"],
        recipe_digest=known["recipe_digest"],
        shares=known["shares"],
        words=tuple(known["words"]),
        candidate_digest=known.get("digest"),
        candidate_size=known.get("size"),
        reused_from=known.get("reused_from"),
        failure=known.get("failure"),
        started=datetime.fromisoformat(known["attempts"][-1]),
        ended=None if state is State.RUNNING else max(ends),
        rungs=rungs,
        race=RaceRecord(**known["race"]) if "race" in known else None,
        worker=known.get("worker"),
        unseen=tuple(known.get("unseen", ())),
    )


def moment() -> str:
    """Return the moment that it is, as attributes have it."""
    return datetime.now(UTC).isoformat()
