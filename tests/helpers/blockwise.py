"""Merging whole tensors the way a plan does: statistics over some blocks, rows over others."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from gguf import GGMLQuantizationType as Type

from mergesearch.methods import METHODS, Combination, InputRows, InputTensor, Parameter, Settings
from mergesearch.methods.combination import rows_as


def cut(
    base: np.ndarray | None, inputs: Sequence[np.ndarray], edges: Sequence[int]
) -> list[InputRows]:
    """The rows in blocks that end at `edges`, where there are as many, and at the last row."""
    rows, cols = inputs[0].shape
    inner = [edge for edge in edges if edge < rows]
    return [
        InputRows(
            None if base is None else base[start:stop],
            [values[start:stop] for values in inputs],
            start * cols,
        )
        for start, stop in pairwise([0, *inner, rows])
    ]


def rows_of(merged: np.ndarray | Combination) -> np.ndarray:
    """What a method gives, in float32; all NaN where the kernels find a number not finite."""
    if isinstance(merged, np.ndarray):
        return merged
    rows = rows_as(merged, Type.F32)
    if rows is None:
        return np.full(merged.rows.stored_inputs[0].shape, np.nan, np.float32)
    return rows.view(np.float32)


def settings_of(method: str, inputs: int, **values: Any) -> Settings:
    """A method's settings: the values, and its defaults where they name none."""

    def value(parameter: Parameter, index: int | None) -> Any:
        given = values.get(parameter.name, parameter.default)
        return given[index] if isinstance(given, tuple) else given

    return METHODS[method].settings(value, inputs)


def merge(
    method: str,
    base: np.ndarray | None,
    *inputs: np.ndarray,
    counted: Sequence[int] = (),
    merged: Sequence[int] = (),
    noise_keys: tuple[int, ...] = (),
    **values: Any,
) -> np.ndarray:
    """Merge matrices, cut at `counted` for statistics and at `merged` for the rows."""
    chosen, settings = METHODS[method], settings_of(method, len(inputs), **values)
    statistics = None
    if chosen.statistics is not None:
        tensor = InputTensor.of(cut(base, inputs, counted), noise_keys)
        statistics = chosen.statistics(tensor, settings)
    blocks = cut(base, inputs, merged)
    return np.concatenate([rows_of(chosen.merge(rows, settings, statistics)) for rows in blocks])


def random_tensors(seed: int, count: int, shape: tuple[int, int] = (6, 8)) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape).astype(np.float32) for _ in range(count)]
