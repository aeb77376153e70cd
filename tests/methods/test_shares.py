"""How much each parent makes up, from the settings of a tensor."""

from __future__ import annotations

from typing import Any

import pytest

from mergesearch.methods.shares import (
    equal_shares,
    half_shares,
    ratio_shares,
    t_shares,
    weight_shares,
)


@pytest.mark.parametrize(
    ("settings", "parts", "rest"),
    [
        ({"weight": (0.5, 0.25)}, [0.5, 0.25], 0.25),
        ({"weight": (3.0, 1.0), "normalize": True}, [0.75, 0.25], 0.0),
        ({"weight": (3.0, 1.0), "normalize": False}, [3.0, 1.0], -3.0),
        ({"weight": (1.0, 1.0), "normalize_weights": True}, [0.5, 0.5], 0.0),
        ({"weight": (3.0, 1.0), "normalize": True, "lambda": 0.5}, [0.375, 0.125], 0.5),
        ({"weight": (1.0, -1.0), "normalize": True}, [1.0, -1.0], 1.0),
    ],
)
def test_weights(settings: dict[str, Any], parts: list[float], rest: float) -> None:
    """Divided by their sum where a switch says so and the sum is not zero, then times lambda."""
    assert weight_shares(settings, 2) == (parts, rest)


def test_a_ratio_is_always_normalized() -> None:
    assert ratio_shares({"weight": (3.0, 1.0)}, 2) == ([0.75, 0.25], 0.0)
    assert ratio_shares({"weight": (1.0, 1e-7 - 1.0)}, 2) == ([0.5, 0.5], 0.0)


def test_parts_that_do_not_depend_on_weights() -> None:
    assert equal_shares({}, 4) == ([0.25] * 4, 0.0)
    assert half_shares({}, 1) == ([0.5], 0.5)
    assert t_shares({"t": 0.25}, 1) == ([0.25], 0.75)
