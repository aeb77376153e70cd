"""Files for mergekit-evolve as a space and as objectives."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from mergesearch.errors import SpaceError
from mergesearch.space import Space
from mergesearch.space.evolve import objectives_of, space_of

EVOLVE = """
genome:
  models: [a, b]
  merge_method: dare_ties
  base_model: base
  layer_granularity: 4
  filters: [self_attn]
  allow_negative_weights: true
tasks: [{name: x, weight: 2, metric: "acc_norm,none"}, y]
limit: 50
num_fewshot: 3
"""


def test_an_evolve_file_is_a_space_and_objectives() -> None:
    document = yaml.safe_load(EVOLVE)
    space = space_of(document, "f")
    assert space["models"][1]["parameters"] == {
        "weight": {"search": [-1.5, 1.5], "curve": 4, "per": ["attn"]},
        "density": {"search": [0.2, 1.0], "curve": 4, "per": ["attn"]},
    }
    assert space["parameters"] == {"normalize": True}
    assert len(Space(space).dimensions) == 2 * 2 * 5
    assert objectives_of(document, "f")["objectives"] == {
        "x": {
            "tasks": [{"task": "x", "metric": "acc_norm", "search_items": 50, "num_fewshot": 3}],
            "reference": 0.0,
        },
        "y": {
            "tasks": [{"task": "y", "metric": "acc", "search_items": 50, "num_fewshot": 3}],
            "reference": 0.0,
        },
    }


def test_an_evolved_slerp_searches_t() -> None:
    genome = {"models": ["a", "b"], "merge_method": "slerp"}
    space = space_of({"genome": genome}, "f")
    assert space["base_model"] == "a"
    assert [dimension.name for dimension in Space(space).dimensions] == ["t"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"merge_method": "sce"}, "unknown merge_method 'sce'"),
        ({"filters": ["q_proj"]}, "the filter 'q_proj' is not a group"),
        ({"speed": 1}, "unknown key 'speed'"),
        ({"models": "a"}, "no list of `models`"),
    ],
)
def test_evolve_files_that_are_not_understood(change: dict[str, Any], message: str) -> None:
    document = yaml.safe_load(EVOLVE)
    with pytest.raises(SpaceError, match=message):
        space_of(document | {"genome": document["genome"] | change}, "f")
    with pytest.raises(SpaceError, match="not a list of tasks"):
        objectives_of({"tasks": []}, "f")
