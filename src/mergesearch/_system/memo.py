"""Results of pure functions that are kept as long as their owner."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

Result = TypeVar("Result")


class Memo:
    """Results by function and arguments; it keeps the arguments alive too."""

    def __init__(self) -> None:
        self._results: dict[Hashable, Any] = {}

    def __call__(self, function: Callable[..., Result], *arguments: Hashable) -> Result:
        """Return a function's result, which is computed the first time only.

        An object that has no equality of its own stands for itself.
        """
        key = (function, *arguments)
        if key not in self._results:
            self._results[key] = function(*arguments)
        result: Result = self._results[key]
        return result
