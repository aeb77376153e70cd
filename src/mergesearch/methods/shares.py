"""How much each parent makes up of a merged tensor, as far as the settings alone tell.

Sparsifying and sign consensus leave the coefficients as they are. Where the coefficients depend on
the tensors the inputs have equal parts.
"""

from __future__ import annotations

from collections.abc import Callable

from mergesearch.methods.inputs import Settings

Shares = Callable[[Settings, int], tuple[list[float], float]]
"""Function from the settings of a tensor and the number of inputs to the coefficient of each input,
and that of the base where it is apart from them."""


def equal_shares(settings: Settings, inputs: int) -> tuple[list[float], float]:
    """Return equal parts of the inputs."""
    return [1.0 / inputs] * inputs, 0.0


def half_shares(settings: Settings, inputs: int) -> tuple[list[float], float]:
    """Return equal parts of the one input and the base."""
    return [0.5], 0.5


def t_shares(settings: Settings, inputs: int) -> tuple[list[float], float]:
    """Return `t` for the one input, and what it leaves for the base."""
    return [settings["t"]], 1.0 - settings["t"]


def weight_shares(settings: Settings, inputs: int) -> tuple[list[float], float]:
    """Return the weights times `lambda`, divided by their sum where a switch says so."""
    parts = list(settings["weight"])
    total = sum(parts)
    if (settings.get("normalize") or settings.get("normalize_weights")) and total != 0:
        parts = [weight / total for weight in parts]
    parts = [weight * settings.get("lambda", 1.0) for weight in parts]
    return parts, 1.0 - sum(parts)


def ratio_shares(settings: Settings, inputs: int) -> tuple[list[float], float]:
    """Return the weights divided by their sum; equal parts where that is almost zero."""
    total = sum(settings["weight"])
    if abs(total) < 1e-6:
        return equal_shares(settings, inputs)
    parts = [weight / total for weight in settings["weight"]]
    return parts, 1.0 - sum(parts)
