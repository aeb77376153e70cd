"""The holes of a space, and the dimensions that fill them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from mergesearch._system.yaml_text import as_written
from mergesearch.methods import Parameter
from mergesearch.space.cuts import Cut
from mergesearch.space.document import KeyPath

Value = float | int | str | bool | None
GROUP_FILTERS = {"attn": "self_attn", "mlp": "mlp", "moe": "block_sparse_moe"}
"""Groups of `per`, by the substring of a tensor's name that marks them."""

_DECIMALS = 4  # decimals of numbers up to about 1; finer steps are below any score's error


@dataclass(frozen=True)
class Dimension:
    """One number or choice that a trial proposes.

    Attributes:
        name: Name that is unique in the space.
        low: Least number.
        high: Largest number.
        choices: Values to choose from; empty for a range of numbers.
        curve: Name of the curve over depth that it is a control point of; None for any other.
    """

    name: str
    low: float = 0.0
    high: float = 0.0
    choices: tuple[Value, ...] = ()
    curve: str | None = None

    @property
    def decimals(self) -> int:
        """Decimals of a proposed number in a recipe: more for a narrow range."""
        return decimals(self.low, self.high)

    @property
    def in_words(self) -> str:
        """What can be proposed, in words."""
        if self.choices:
            return ", ".join(map(as_written, self.choices))
        return f"{self.low:g} to {self.high:g}"

    def holds(self, value: Value) -> bool:
        """Whether `value` can be proposed."""
        if self.choices:
            return value in self.choices
        return (
            isinstance(value, int | float)
            and not isinstance(value, bool)
            and (self.low <= value <= self.high)
        )


@dataclass(frozen=True)
class Hole:
    """A place in the document that dimensions fill.

    Attributes:
        path: Path to the hole in the document.
        dimension: Dimension with the hole's name; each point of a curve is a copy with a longer
            name.
        parameter: Declaration of the parameter by the first method of the merge that takes it;
            None for a method, a model or a base, and where no method takes it.
        curve: Number of points over depth, 1 for a plain value.
        per: Groups with values of their own, empty for one value for all tensors.
        cut: Where the depth is cut; None for points that are spread evenly.
        times: Value of the parameter that the proposed number multiplies; None where that number
            is the value itself.
        tied: Whether holes of the same name share their dimensions.
        options: Values of the recipe by the choices that stand for them; empty where a choice is
            the value itself.
    """

    path: KeyPath
    dimension: Dimension
    parameter: Parameter | None = None
    curve: int = 1
    per: tuple[str, ...] = ()
    cut: Cut | None = None
    times: Any = None
    tied: bool = False
    options: Mapping[Value, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The last key of the path, such as `weight` or `model`."""
        return str(self.path[-1])

    @property
    def owner_depth(self) -> int:
        """Length of the path to what has to be in a recipe for the hole to matter.

        That is the mapping or list that it stands in; of a model the list of inputs, which a null
        model leaves.
        """
        return len(self.path) - (2 if self.key == "model" else 1)

    @property
    def structural(self) -> bool:
        """Whether it holds a method, a model, a base, layers or slices, not a parameter."""
        return "parameters" not in self.path

    @property
    def largest(self) -> Value:
        """The choice with the most layers, of layer ranges; or with the most slices, of orders."""
        return max(self.options, key=lambda choice: extent(self.key, self.options[choice]))

    def names(self) -> dict[str | None, list[str]]:
        """Return the names of the points of each group, in a fixed order; None: of all tensors."""
        found: dict[str | None, list[str]] = {}
        for group in [*dict.fromkeys((*self.per, "rest"))] if self.per else [None]:
            points = self.curve if group is None or group in self.per else 1
            stem = self._stem(group)
            found[group] = [stem] if points == 1 else [f"{stem}[{at}]" for at in range(points)]
        return found

    def dimensions(self) -> list[Dimension]:
        """Return all dimensions of the hole, in a fixed order."""
        return [
            replace(self.dimension, name=name, curve=self._stem(group) if len(names) > 1 else None)
            for group, names in self.names().items()
            for name in names
        ]

    def _stem(self, group: str | None) -> str:
        return self.dimension.name if group is None else f"{self.dimension.name}.{group}"

    def fill(self, values: Mapping[str, Value]) -> Any:
        """Return the recipe's value for the proposed ones, one by each dimension's name."""
        if self.times is not None:
            return scaled(self.times, rounded(values[self.dimension.name], self.dimension.decimals))
        filled: list[tuple[str | None, Any]] = []
        for group, names in self.names().items():
            digits = self.dimension.decimals
            numbers = [rounded(self._value(values[name]), digits) for name in names]
            if len(names) > 1 and self.cut is not None and self.cut.layers:
                numbers = rounded(self.cut.spread(numbers), digits)
            filled.append((group, numbers[0] if len(names) == 1 else numbers))
        if not self.per:
            return filled[0][1]
        plain_last = sorted(filled, key=lambda pair: pair[0] == "rest")
        return [
            ({} if group == "rest" else {"filter": GROUP_FILTERS[str(group)]}) | {"value": value}
            for group, value in plain_last
        ]

    def _value(self, choice: Value) -> Any:
        return self.options.get(choice, choice)


def extent(key: str, option: Any) -> int:
    """Return the number of layers of a `layer_range`, or the number of slices of an order."""
    return int(option[1] - option[0]) if key == "layer_range" else len(option)


def scaled(value: Any, factor: float) -> Any:
    """Return a number times a factor to nine digits, and so every number of a list or filters."""
    if isinstance(value, list):
        return [scaled(entry, factor) for entry in value]
    if isinstance(value, dict):
        return value | {"value": scaled(value["value"], factor)}
    return float(f"{value * factor:.9g}")


def numbers_in(value: Any) -> list[float]:
    """Return the numbers of a parameter's value, of all points and filters."""
    if isinstance(value, list):
        return [number for entry in value for number in numbers_in(entry)]
    return numbers_in(value["value"]) if isinstance(value, dict) else [value]


def decimals(low: float, high: float) -> int:
    """Return the decimals of numbers in a range: four, and one more for each tenth of its width."""
    return _DECIMALS + max(0, math.floor(-math.log10(high - low))) if high > low else _DECIMALS


def rounded(value: Any, digits: int) -> Any:
    """Return a number as a recipe shows it, and so every number of a list or a filter list."""
    if isinstance(value, list):
        return [rounded(entry, digits) for entry in value]
    if isinstance(value, dict):
        return {key: rounded(entry, digits) for key, entry in value.items()}
    return round(value, digits) if isinstance(value, float) else value
