"""The importances of a run's dimensions, kept in its folder: its forests take seconds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from mergesearch._system.documents import digest_of
from mergesearch._system.files import write_text
from mergesearch.study.importances import Importances
from mergesearch.study.records import TrialRecord

_ADAPTER = TypeAdapter(tuple[str, dict[str, dict[str, float]]])
"""Digest of what the importances were computed from, and the importances."""


def kept_importances(
    file: Path, trials: Sequence[TrialRecord], compute: Callable[[], Importances]
) -> Importances:
    """Return the importances in a file if they are of these trials, else compute and keep them.

    Args:
        file: File that keeps them; where it cannot be written nothing is kept.
        compute: Function that gives the importances of the trials.
    """
    digest = _digest(trials)
    with suppress(OSError, ValidationError):
        known, found = _ADAPTER.validate_json(file.read_bytes())
        if known == digest:
            return found
    computed = compute()
    with suppress(OSError):
        kept = {name: dict(shares) for name, shares in computed.items()}
        write_text(file, _ADAPTER.dump_json((digest, kept)).decode())
    return computed


def _digest(trials: Sequence[TrialRecord]) -> str:
    facts = [
        [
            trial.number,
            dict(trial.parameters),
            {name: score.value for name, score in trial.scores().items()},
        ]
        for trial in trials
        if trial.scores()
    ]
    return digest_of(facts)
