"""A study in Optuna's own dashboard, where that is installed."""

from __future__ import annotations

from typing import Any

import optuna

from mergesearch.errors import InputError


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
    return wsgi(optuna.storages.RDBStorage(url))
