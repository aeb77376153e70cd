"""Metadata by keys that hold the architecture, and values that are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mergesearch.errors import CheckpointError
from mergesearch.gguf.fields import Fields

LAYERS, HEADS, EPS = "{arch}.block_count", "{arch}.heads", "{arch}.eps"


def fields(**values: Any) -> Fields:
    named = {f"qwen2.{name}": value for name, value in values.items()}
    return Fields({"general.architecture": "qwen2", **named}, Path("here"))


def test_what_is_read() -> None:
    found = fields(block_count=2, heads=[4, 4], eps=float(np.float32(1e-6)))
    assert found.arch == "qwen2"
    assert (found.whole(LAYERS, 1), found.whole(HEADS, 1), found.raw(HEADS)) == (2, 4, [4, 4])
    assert found.number(EPS) == 1e-06
    assert found.get("{arch}.other") is None
    assert fields(heads=[4, 2]).get(HEADS) == [4, 2]
    assert fields(heads=[]).get(HEADS) == []


def test_other_values_for_some_keys() -> None:
    found = fields(block_count=2, heads=[4, 2])
    other = found.with_values({HEADS: 4})
    assert (other.get(HEADS), other.get(LAYERS), found.get(HEADS)) == (4, 2, [4, 2])


@pytest.mark.parametrize("value", [1, True, 2.0, None, [2, 3]])
def test_what_is_no_whole_number_from_two(value: object) -> None:
    with pytest.raises(
        CheckpointError, match=r"^here: (qwen2\.block_count is |needs `qwen2\.block_count`)"
    ):
        fields(block_count=value).whole(LAYERS, 2)


@pytest.mark.parametrize("value", [0, -1.0, float("inf"), float("nan"), True, "1"])
def test_what_is_no_number_above_zero(value: object) -> None:
    with pytest.raises(CheckpointError, match=r"^here: qwen2\.eps is "):
        fields(eps=value).number(EPS)
