"""Cutting the depth by mass, against a search of all cuts and by hand."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mergesearch.errors import SpaceError
from mergesearch.space import Space
from mergesearch.space.cuts import Cut, cut_by_mass

SPACE = """
merge_method: task_arithmetic
base_model: base
models:
  - {model: a, parameters: {weight: {search: [0, 1], blocks: 3, per: [attn]}}}
  - {model: b, parameters: {weight: {search: [0, 1], curve: auto}}}
"""


def cost(masses: list[float], ends: tuple[int, ...]) -> float:
    """The sum that blocks make least, counted from its definition."""
    shares = np.array(masses) / sum(masses)
    blocks = [shares[start:end] for start, end in zip((0, *ends[:-1]), ends, strict=True)]
    spread = ((shares - shares.mean()) ** 2).sum()
    balance = sum((len(ends) * block.sum() - 1) ** 2 / len(ends) for block in blocks)
    inside = sum(((block - block.mean()) ** 2).sum() for block in blocks)
    return float(balance + (inside / spread if spread > 1e-20 else 0.0))


@given(st.lists(st.floats(0.1, 10), min_size=3, max_size=8), st.integers(1, 3))
def test_blocks_are_the_best_of_all_cuts(masses: list[float], count: int) -> None:
    ends = tuple(cut_by_mass("blocks", masses, count))
    n_layers = len(masses)
    every = [(*inner, n_layers) for inner in combinations(range(1, n_layers), count - 1)]
    least = min(cost(masses, cut) for cut in every)
    assert ends in every
    assert cost(masses, ends) == pytest.approx(least, abs=1e-6)


def test_even_masses_are_cut_evenly() -> None:
    assert cut_by_mass("blocks", [1.0] * 12, 3) == [4, 8, 12]
    assert cut_by_mass("curve", [1.0] * 13, 4) == [0, 4, 8, 12]
    assert cut_by_mass("blocks", [0.0] * 4, 2) == [2, 4]


def test_cuts_are_close_together_where_the_mass_is() -> None:
    heavy_end = [1.0] * 8 + [10.0] * 4
    assert cut_by_mass("blocks", heavy_end, 3) == [8, 10, 12]
    assert cut_by_mass("curve", heavy_end, 4) == [0, 8, 10, 11]
    assert cut_by_mass("curve", [1.0, 1.0], 4) == [0, 1]


def test_points_stand_where_half_of_the_mass_is_passed() -> None:
    """The middles of the layers are at masses 1, 4, 6.5, 7.5 and 12: halfway is 6.5."""
    assert cut_by_mass("curve", [2.0, 4.0, 1.0, 1.0, 8.0], 3) == [0, 2, 4]
    assert cut_by_mass("curve", [0.0, 0.0, 0.0, 1.0], 4) == [0, 1, 2, 3]
    assert cut_by_mass("curve", [0.0, 0.0, 0.0], 3) == [0, 1, 2]


@pytest.mark.parametrize(("n_layers", "count"), [(27, 6), (31, 6), (48, 5), (10, 4)])
def test_layers_that_are_alike_are_cut_into_blocks_of_about_one_size(
    n_layers: int, count: int
) -> None:
    ends = cut_by_mass("blocks", [0.7] * n_layers, count)
    assert {end - start for start, end in pairwise([0, *ends])} == {
        n_layers // count,
        n_layers // count + 1,
    }


def test_blocks_are_balanced_and_alike_inside() -> None:
    """Balance alone would cut 1 1 3 | 1 3, likeness alone 1 1 | 3 1 3."""
    assert cut_by_mass("blocks", [1.0, 1.0, 3.0, 1.0, 3.0], 2) == [4, 5]
    assert cut_by_mass("blocks", [1.0, 1.0, 1.0, 3.0, 4.0, 4.0], 3) == [3, 5, 6]
    assert cut_by_mass("blocks", [1.0, 3.0, 2.0, 3.0], 2) == [3, 4]


@given(st.lists(st.floats(0, 10), min_size=1, max_size=9), st.integers(1, 4))
def test_points_rise_from_the_first_layer_to_the_last(masses: list[float], count: int) -> None:
    points = cut_by_mass("curve", masses, count)
    assert len(points) == min(count, len(masses))
    assert points == sorted(set(points))
    assert points[0] == 0
    assert count == 1 or points[-1] == len(masses) - 1


def test_values_are_spread_over_layers() -> None:
    blocks = Cut("blocks", (1, 4, 6))
    assert blocks.spread([0.1, 0.2, 0.3]) == [0.1, 0.2, 0.2, 0.2, 0.3, 0.3]
    curve = Cut("curve", (0, 1, 5))
    assert curve.spread([0.0, 1.0, 0.2]) == pytest.approx([0.0, 1.0, 0.8, 0.6, 0.4, 0.2])


def test_a_space_is_cut_once_and_says_where() -> None:
    space = Space.from_yaml(SPACE)
    assert space.needs_cut()
    cut = space.cut([1.0, 1.0, 1.0, 1.0, 4.0, 4.0])
    assert not cut.needs_cut()
    assert cut.dimensions == space.dimensions
    assert cut.cuts() == {
        "a.weight": Cut("blocks", (4, 5, 6)),
        "b.weight": Cut("curve", (0, 3, 4, 5)),
    }
    assert Space(cut.to_dict()).to_dict() == cut.to_dict()
    values = {"a.weight.attn[0]": 0.1, "a.weight.attn[1]": 0.5, "a.weight.attn[2]": 0.9}
    values |= {"a.weight.rest": 0.3, **{f"b.weight[{index}]": index / 10 for index in range(4)}}
    recipe = cut.recipe(values)
    first, second = yaml.safe_load(recipe.to_yaml())["models"]
    assert first["parameters"]["weight"][0]["value"] == [0.1, 0.1, 0.1, 0.1, 0.5, 0.9]
    assert second["parameters"]["weight"] == [0.0, 0.0333, 0.0667, 0.1, 0.2, 0.3]


@pytest.mark.parametrize(
    ("hole", "message"),
    [
        ("blocks: 7", "7 blocks are more than the 6 layers"),
        ("blocks: 0", "blocks 0 is not a number"),
        ("blocks: [3, 3]", "is not a number"),
        ("blocks: [0, 3]", "is not a number"),
        ("curve: [1, 5]", "is not a number"),
        ("curve: [0]", "is not a number"),
        ("curve: always", "curve 'always' is not a number"),
        ("curve: 2, blocks: 2", "a curve has no blocks"),
    ],
)
def test_cuts_that_cannot_be_are_refused(hole: str, message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        Space.from_yaml(SPACE.replace("curve: auto", hole)).cut([1.0] * 6)


def test_slices_are_not_cut_by_mass() -> None:
    text = """
merge_method: linear
slices:
  - sources:
      - {model: a, layer_range: [0, 4], parameters: {weight: {search: [0, 1], curve: auto}}}
      - {model: b, layer_range: [0, 4], parameters: {weight: 1}}
"""
    with pytest.raises(SpaceError, match="curve 'auto' is for whole models"):
        Space.from_yaml(text)


def test_the_last_point_is_the_last_layer_also_where_it_has_no_mass() -> None:
    assert cut_by_mass("curve", [1.0, 0.0, 0.0], 2) == [0, 2]
    assert cut_by_mass("curve", [1.0, 0.0, 0.0, 0.0], 3) == [0, 1, 3]
