"""From what each item gave to a task's metrics with their standard errors."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from mergesearch.objectives import MetricValue

Aggregation = Callable[[Sequence[Any]], Any]
StandardError = Callable[[Sequence[Any]], Any]

BOOTSTRAP_DRAWS = 200


def item_value(value: Any) -> float | None:
    """Return one number for what a metric gave for one item, None where it has none.

    A list of answers counts with its mean. Of pairs, (log-probability, length) gives the
    log-probability per unit of length, and (right, chosen) whether both are equal.
    """
    if isinstance(value, tuple) and len(value) == 2:
        first, second = value
        if isinstance(first, float) and isinstance(second, int) and second:
            return first / second
        return float(first == second) if isinstance(first, int) else None
    if isinstance(value, list) and value:
        numbers = [number for element in value if (number := item_value(element)) is not None]
        return None if len(numbers) < len(value) else math.fsum(numbers) / len(numbers)
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def standard_error(
    values: Sequence[Any], aggregate: Aggregation, closed_form: StandardError | None
) -> float:
    """Return the standard error of `aggregate(values)`; infinite for fewer than two values.

    Without a closed form: a bootstrap over items, seeded.
    """
    if len(values) < 2:
        return math.inf
    if closed_form is not None:
        return float(closed_form(values))
    drawing = random.Random(0)
    draws = [
        float(aggregate(drawing.choices(values, k=len(values)))) for _ in range(BOOTSTRAP_DRAWS)
    ]
    centre = math.fsum(draws) / len(draws)
    return math.sqrt(math.fsum((draw - centre) ** 2 for draw in draws) / (len(draws) - 1))


def combine(measured: Sequence[tuple[MetricValue, int]], *, by_size: bool) -> MetricValue:
    """Return a group's metric from (value, items) of its tasks: their mean, by size or plain.

    The tasks' errors are independent: sqrt(sum((w_i / W)^2 * se_i^2)). A task with a single item
    has no error of its own and takes the spread of the others' items.
    """
    weights = [float(n) if by_size else 1.0 for _, n in measured]
    total = math.fsum(weights)
    value = (
        math.fsum(w * metric.value for w, (metric, _) in zip(weights, measured, strict=True))
        / total
    )
    known = [(metric.stderr, n) for metric, n in measured if math.isfinite(metric.stderr)]
    if not known:
        return MetricValue(value, math.inf)
    spread = math.fsum(se**2 * n * n for se, n in known) / sum(n for _, n in known)
    variance = math.fsum(
        (w / total) ** 2 * (metric.stderr**2 if math.isfinite(metric.stderr) else spread / n)
        for w, (metric, n) in zip(weights, measured, strict=True)
    )
    return MetricValue(value, math.sqrt(variance))


def named_metrics(
    metrics: Mapping[tuple[str, str], Any], filters: int, used: Collection[str]
) -> dict[str, Any]:
    """Name metrics as an objectives file does: `name`, or `name,filter` where there are several.

    `name,filter` of the only filter is understood too, where the file uses it.
    """
    named: dict[str, Any] = {}
    for (name, filter_), value in metrics.items():
        full = f"{name},{filter_}"
        if filters == 1:
            named[name] = value
        if filters > 1 or full in used:
            named[full] = value
    return named
