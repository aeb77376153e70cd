"""The mass of parents' deltas, counted on parents whose deltas are known."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mergesearch.merge.masses import ROWS, RUNS, layer_masses, masses

LAYERS = 3


class Parent:
    """A parent whose weights are constant in each layer."""

    def __init__(self, levels: tuple[float, ...], n_rows: int = 8) -> None:
        self.levels = levels
        self.layout = SimpleNamespace(n_layers=LAYERS)
        self.shape = (n_rows, 4)
        self.read = 0
        self.tensors: dict[str, Any] = {"model.embed_tokens.weight": self._info(self.shape)}
        for layer in range(LAYERS):
            self.tensors[f"model.layers.{layer}.mlp.up_proj.weight"] = self._info(self.shape)
            self.tensors[f"model.layers.{layer}.input_layernorm.weight"] = self._info((4,))

    def _info(self, shape: tuple[int, ...]) -> Any:
        return SimpleNamespace(shape=shape)

    def rows(self, name: str, start: int, stop: int) -> np.ndarray[Any, Any]:
        self.read += stop - start
        layer = name.split(".")[2]
        level = self.levels[int(layer)] if layer.isdigit() else self.levels[0]
        return np.full((stop - start, 4), level, np.float32)


def test_deltas_are_from_the_base() -> None:
    parents = {"base": Parent((1, 1, 1)), "a": Parent((1, 2, 1)), "b": Parent((1, 1, 4))}
    # 8 x 4 weights and 4 of a norm in each layer
    assert layer_masses(parents, "base") == pytest.approx([0, 36, 36 * 9])  # type: ignore[arg-type]


def test_without_a_base_they_are_from_the_mean() -> None:
    parents = {"a": Parent((1, 2, 3)), "b": Parent((1, 4, 3))}
    assert layer_masses(parents, None) == pytest.approx([0, 36 * 2, 0])  # type: ignore[arg-type]


def test_of_a_large_tensor_a_sample_stands_for_all_rows() -> None:
    parents = {"base": Parent((0, 0, 0), 1000), "a": Parent((1, 2, 0), 1000)}
    found = layer_masses(parents, "base")  # type: ignore[arg-type]
    assert found == pytest.approx([4004, 4 * 4004, 0])
    assert parents["a"].read == LAYERS * (RUNS * ROWS + 1) + RUNS * ROWS


def test_each_parent_differs_by_its_own() -> None:
    parents = {"base": Parent((1, 1, 1)), "a": Parent((1, 2, 1)), "b": Parent((1, 1, 4))}
    found = masses(parents, "base")  # type: ignore[arg-type]
    assert [tuple(mass) for mass in found if mass.size] == [
        ("a", "model.layers.1.mlp.up_proj.weight", 1, 32.0),
        ("a", "model.layers.1.input_layernorm.weight", 1, 4.0),
        ("b", "model.layers.2.mlp.up_proj.weight", 2, 288.0),
        ("b", "model.layers.2.input_layernorm.weight", 2, 36.0),
    ]
