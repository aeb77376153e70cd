"""Sizes in a `config.json`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mergesearch._system.documents import state_of
from mergesearch.errors import CheckpointError


def positive_size(
    config: Mapping[str, Any], key: str, where: str | Path, default: int | None = None
) -> int:
    """Return a size that a `config.json` names.

    Args:
        default: Size where the key is missing; None where it has to be there.

    Raises:
        CheckpointError: It is missing, or not a positive whole number.
    """
    value = config.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise CheckpointError(state_of(key, value), where=where, expected="a positive whole number")
    return value
