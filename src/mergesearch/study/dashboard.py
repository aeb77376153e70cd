"""A study in Optuna's own dashboard, where that is installed."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from mergesearch.errors import InputError
from mergesearch.space import Space
from mergesearch.study.confirming import ConfirmedFront
from mergesearch.study.database import engine_arguments, runs_of


def dashboard_of(url: str) -> Any:
    """Return the dashboard of the studies in a database, as an application for WSGI.

    Args:
        url: SQLAlchemy URL of the database.

    Raises:
        InputError: Optuna-dashboard is not installed.
    """
    try:
        from optuna_dashboard import wsgi
    except ImportError:
        raise InputError(
            "optuna-dashboard is not installed", fix="pip install 'mergesearch[dashboard]'"
        ) from None
    return wsgi(_Shown(url))


class _Shown(optuna.storages.RDBStorage):  # type: ignore[misc]
    """A storage whose trials have, as attributes, what was found out after they had finished.

    Optuna locks a finished trial, and a front is confirmed later. So what a person reads is added
    when trials are read; nothing is written. Parameters that took no part are left out.

    Args:
        url: SQLAlchemy URL of the database.
    """

    def __init__(self, url: str) -> None:
        super().__init__(url, engine_kwargs=engine_arguments(url))
        self._spaces = {run.name: Space.from_yaml(run.space) for run in runs_of(url).values()}

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        """Return the trials of a study, with the attributes that are shown."""
        trials = super().get_all_trials(study_id, deepcopy=True, states=states)
        found = self.get_study_user_attrs(study_id).get("confirmed")
        confirmed = _confirmed(ConfirmedFront.from_dict(found)) if found else {}
        space = self._spaces.get(self.get_study_name_from_id(study_id))
        for trial in trials:
            unused = set() if space is None else space.unused(trial.params)
            trial.params = _without(trial.params, unused)
            trial.distributions = _without(trial.distributions, unused)
            words = trial.user_attrs.get("words", [])
            trial.user_attrs = {
                "in words": "; ".join(words),
                **confirmed.get(trial.number, {}),
                **{name: value for name, value in trial.user_attrs.items() if name != "words"},
            }
        return trials


def _without(parameters: Mapping[str, Any], names: Container[str]) -> dict[str, Any]:
    return {name: value for name, value in parameters.items() if name not in names}


def _confirmed(front: ConfirmedFront) -> dict[int, dict[str, Any]]:
    """Attributes of the members of a confirmed front, by trial; numbers can be sorted by."""
    found: dict[int, dict[str, Any]] = {}
    for member in front.members:
        attributes: dict[str, Any] = {}
        for name, score in member.values.items():
            low, high = score.interval()
            attributes[f"confirmed {name}"] = score.value
            attributes[f"confirmed {name}, 95 %"] = f"{low:.3f} to {high:.3f}"
        found[member.trial] = {**attributes, "on the front": f"{100 * member.chance:.0f} %"}
    return found
