"""A parameter's value in a recipe: read from a document, looked up for a tensor, written back.

How values are filtered and interpolated matches `mergekit/config.py`, `evaluate_setting`.
"""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from mergesearch._system.yaml_text import as_written
from mergesearch.methods import Parameter
from mergesearch.recipe.reading import Location, checked_keys, is_number, string_of, switch_of

Scalar = float | int | bool

_LARGEST = 1e9
"""Size of a number where a method declares none: squares and sums of such fit a float32."""


@dataclass(frozen=True)
class Filtered:
    """One entry of a filter list: a value for the tensors whose name contains a text.

    Attributes:
        filter: Text to look for; None or `*` for the entry that takes every tensor that is left.
        value: Plain value, or a gradient over depth.
    """

    filter: str | None
    value: Scalar | tuple[Scalar, ...]

    def matches(self, tensor_name: str) -> bool:
        """Whether the entry applies to a tensor (its Hugging Face name)."""
        return self.filter is None or self.filter == "*" or self.filter in tensor_name


ParameterValue = Scalar | tuple[Scalar, ...] | tuple[Filtered, ...]
"""A plain value, a gradient over depth, or a filter list."""


def parse_value(parameter: Parameter, value: Any, location: Location) -> ParameterValue:
    """Return a parameter's value from a document.

    Raises:
        RecipeError: It is not a value of the parameter's kind, or out of its range.
    """
    if isinstance(value, dict) and "value" in value:
        value = [value]
    if not isinstance(value, list):
        return _parse_scalar(parameter, value, location)
    if not value:
        raise location.error("an empty list")
    if any(isinstance(entry, dict) for entry in value):
        return tuple(
            _parse_entry(parameter, entry, location / index) for index, entry in enumerate(value)
        )
    if parameter.kind is int and len(value) > 1:
        raise location.error(f"{parameter.name} has no gradient", expected="one whole number")
    return tuple(_parse_scalar(parameter, point, location) for point in value)


def _parse_entry(parameter: Parameter, entry: Any, location: Location) -> Filtered:
    keys = checked_keys(entry, ("filter", "value"), location)
    if "value" not in keys:
        raise location.error("needs `value`")
    value = parse_value(parameter, keys["value"], location)
    if isinstance(value, tuple) and isinstance(value[0], Filtered):
        raise location.error("a filter list inside a filter list")
    return Filtered(string_of(keys, "filter", location), value)


def _parse_scalar(parameter: Parameter, value: Any, location: Location) -> Scalar:
    if parameter.kind is bool:
        return switch_of(value, location)
    if isinstance(value, str):  # YAML reads 1e-5 as a string
        with suppress(ValueError):
            value = float(value)
    if not is_number(value):
        expected = "a number, a list of numbers, or a list of {filter, value}"
        if isinstance(value, dict):
            expected += "; in a search space also {search: [low, high]}"
        raise location.error(f"{as_written(value)} is not a number", expected=expected)
    name = parameter.name
    low, high = (_declared(bound) for bound in (parameter.low, parameter.high))
    if not low <= value <= high:
        raise location.error(f"{name} {value} is out of range", expected=f"{low:g} to {high:g}")
    if parameter.kind(value) != value:
        raise location.error(f"{name} {value} is not a whole number")
    return parameter.kind(value)


def _declared(bound: float) -> float:
    return bound if math.isfinite(bound) else math.copysign(_LARGEST, bound)


def with_fallback(value: ParameterValue, fallback: ParameterValue | None) -> ParameterValue:
    """Return a value that is another one for the tensors that none of its filters matches."""
    entries = as_filters(value)
    if fallback is None or entries[-1].filter in (None, "*"):
        return value
    return entries + as_filters(fallback)


def as_filters(value: ParameterValue) -> tuple[Filtered, ...]:
    """Return a value as a filter list, a plain one with a single entry for every tensor."""
    if isinstance(value, tuple):
        entries = tuple(entry for entry in value if isinstance(entry, Filtered))
        return entries or (Filtered(None, _points(value)),)
    return (Filtered(None, value),)


def evaluate(value: ParameterValue, tensor_name: str, depth: float) -> Scalar | None:
    """Return a value for one tensor, None where no filter applies.

    Gradients are piecewise linear over the depth in [0, 1]; one of switches takes the last switch
    that the depth has reached.
    """
    if not isinstance(value, tuple):
        return value
    if isinstance(value[0], Filtered):
        entries = (entry for entry in as_filters(value) if entry.matches(tensor_name))
        chosen = next(entries, None)
        return None if chosen is None else evaluate(chosen.value, tensor_name, depth)
    points = _points(value)
    scaled = depth * (len(points) - 1)
    low = int(scaled)
    if isinstance(points[low], bool):
        return points[low]
    high = min(low + 1, len(points) - 1)
    fraction = scaled - low
    return (1.0 - fraction) * float(points[low]) + fraction * float(points[high])


def _points(value: tuple[Scalar, ...] | tuple[Filtered, ...]) -> tuple[Scalar, ...]:
    return tuple(point for point in value if not isinstance(point, Filtered))


def value_document(value: ParameterValue) -> Any:
    """Return the document that `parse_value` reads back to an equal value."""
    if not isinstance(value, tuple):
        return value
    if not isinstance(value[0], Filtered):
        return list(value)
    return [
        ({} if entry.filter is None else {"filter": entry.filter})
        | {"value": value_document(entry.value)}
        for entry in as_filters(value)
    ]
