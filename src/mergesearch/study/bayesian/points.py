"""Parameters as points: a place in [0, 1] of each range, the index of each choice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mergesearch.space import Dimension
from mergesearch.study.pareto import Floats


def point_of(dimensions: Sequence[Dimension], parameters: Mapping[str, Any]) -> Floats:
    """Return the point (dimensions,) that parameters are."""
    return np.array([_place(dimension, parameters[dimension.name]) for dimension in dimensions])


def parameters_of(dimensions: Sequence[Dimension], point: Floats) -> dict[str, Any]:
    """Return the parameters that a point (dimensions,) is."""
    return {
        dimension.name: _value(dimension, float(place))
        for dimension, place in zip(dimensions, point, strict=True)
    }


def _place(dimension: Dimension, value: Any) -> float:
    if dimension.choices:
        return float(list(dimension.choices).index(value))
    width = dimension.high - dimension.low
    return (float(value) - dimension.low) / width if width else 0.0


def _value(dimension: Dimension, place: float) -> Any:
    if dimension.choices:
        return dimension.choices[round(place)]
    value = dimension.low + place * (dimension.high - dimension.low)
    return min(max(value, dimension.low), dimension.high)
