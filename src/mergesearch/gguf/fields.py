"""The metadata of a GGUF, read by keys in which `{arch}` stands for its architecture."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np

from mergesearch._system.documents import state_of
from mergesearch.errors import CheckpointError


@dataclass(frozen=True)
class Fields:
    """The metadata of a GGUF.

    Attributes:
        values: Value of each key.
        where: Path of the file.
    """

    values: Mapping[str, Any]
    where: Path

    @property
    def arch(self) -> Any:
        """GGUF's name of the architecture, whatever the file has in its place."""
        return self.values.get(gguf.Keys.General.ARCHITECTURE)

    def raw(self, key: str) -> Any:
        """Return the value of a key, None where it is not there."""
        return self.values.get(key.format(arch=self.arch))

    def get(self, key: str) -> Any:
        """Return the value of a key; of numbers of the layers that are all equal, that number."""
        value = self.raw(key)
        if isinstance(value, list) and value and value == value[:1] * len(value):
            return value[0]
        return value

    def whole(self, key: str, smallest: int) -> int:
        """Return a whole number.

        Raises:
            CheckpointError: It is missing, another value, or below `smallest`.
        """
        value = self.get(key)
        if isinstance(value, bool) or not isinstance(value, int) or value < smallest:
            raise self.error(key, value, f"a whole number from {smallest}")
        return value

    def number(self, key: str) -> float:
        """Return the shortest decimal that is stored as a float32: 1e-06, not 9.99999997e-07.

        Raises:
            CheckpointError: It is missing, or not a number above 0.
        """
        value = self.get(key)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not 0 < value < math.inf:
            raise self.error(key, value, "a number above 0")
        return float(str(np.float32(value)))

    def numbers(self, keys: Mapping[str, str]) -> dict[str, float]:
        """Return those numbers that are there, by the names of their keys; see `number`."""
        return {name: self.number(key) for name, key in keys.items() if self.get(key) is not None}

    def error(self, key: str, value: Any, expected: str) -> CheckpointError:
        """Return the error about a key with another value than expected."""
        return CheckpointError(
            state_of(key.format(arch=self.arch), value), where=self.where, expected=expected
        )

    def with_values(self, values: Mapping[str, Any]) -> Fields:
        """Return the metadata with other values for some keys."""
        named = {key.format(arch=self.arch): value for key, value in values.items()}
        return Fields({**self.values, **named}, self.where)
