"""What is opened of a recipe where nobody chooses: never more than a sampler can learn about."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from mergesearch.space.from_recipe import SearchableValue, dotted
from mergesearch.space.holes import numbers_in

MOST = 12  # dimensions that some dozens of trials can still learn something about
_FACTORS = {"share": (0.0, 2.0), "strength": (0.5, 1.5), "detail": (0.5, 1.5)}
"""Ranges of what multiplies tied values, by the roles of their parameters."""
_TIES: tuple[Callable[[SearchableValue], str], ...] = (
    lambda value: value.name,
    lambda value: dotted(value.stage, value.model, value.parameter.name),
    lambda value: dotted(value.stage, value.parameter.name),
    lambda value: value.parameter.name,
)
"""Names of what is tied: one value; the values of a parent, of a merge, and of a parameter."""


def dimension_count(values: Iterable[SearchableValue]) -> int:
    """Return the number of dimensions that values have together."""
    values = list(values)
    ties = {value.tie for value in values} - {None}
    return len(ties) + sum(len(numbers_in(value.value)) for value in values if value.tie is None)


def by_default(found: Iterable[SearchableValue]) -> list[SearchableValue]:
    """Return what is sensible to open: the shares, and the rest that matters while it is few.

    Where even the shares are too many dimensions, numbers are tied: one dimension multiplies a
    gradient or filter list, then all values of a parent, of a merge, of a parameter.
    """
    found = list(found)
    shares = [value for value in found if value.parameter.role == "share"]
    more = [value for value in found if value.parameter.role != "detail"]
    needed = shares or more or found
    for chosen in (more, needed, *(_tied(needed, name) for name in _TIES)):
        if chosen and dimension_count(chosen) <= MOST:
            break
    return chosen


def _tied(
    values: Sequence[SearchableValue], name: Callable[[SearchableValue], str]
) -> list[SearchableValue]:
    """Values with those of one name tied, but for numbers that are alone; zeros are left out."""
    groups = defaultdict(list)
    for value in values:
        groups[name(value), value.parameter].append(value)
    result = []
    for (tie, parameter), members in groups.items():
        numbers = [abs(number) for member in members for number in numbers_in(member.value)]
        if len(numbers) == 1:
            result += members
        elif max(numbers) > 0:
            low, high = _FACTORS[parameter.role]
            if parameter.search_factor is not None:
                low, high = 1 / parameter.search_factor, parameter.search_factor
            if math.isfinite(parameter.high):
                high = min(high, math.floor(parameter.high / max(numbers) * 1e4) / 1e4)
            result += [replace(member, range=(low, high), tie=tie) for member in members]
    return result
