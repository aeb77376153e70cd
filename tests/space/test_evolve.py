"""Files for mergekit-evolve as a space and as objectives."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from mergesearch.errors import SpaceError
from mergesearch.space import Space
from mergesearch.space.evolve import objectives_from_tasks, space_of

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
        "density": {"search": [0.2, 1.0], "as": "density"},
    }
    assert space["parameters"] == {"normalize": True}
    assert len(Space(space).dimensions) == 2 * 5 + 1
    use = {"search_items": 50, "num_fewshot": 3}
    assert objectives_from_tasks(document, "f")["objectives"] == {
        "x": {
            "tasks": [{"task": "x", "metric": "acc_norm", "weight": 2.0, **use}],
            "reference": 0.0,
        },
        "y": {"tasks": [{"task": "y", "metric": "acc", "weight": 1.0, **use}], "reference": 0.0},
    }


@pytest.mark.parametrize(
    ("models", "genome", "dimensions"),
    [
        (2, {"merge_method": "linear"}, 2),
        (3, {"merge_method": "linear", "layer_granularity": 8}, 12),
        (5, {"merge_method": "linear", "layer_granularity": 8}, 10),
        (3, {"merge_method": "ties"}, 6),
        (3, {"merge_method": "ties", "filters": ["self_attn", "mlp"]}, 10),
        (6, {"merge_method": "ties", "filters": ["self_attn", "mlp"]}, 7),
        (2, {"merge_method": "ties", "filters": ["q_proj", "mlp"], "layer_granularity": 4}, 11),
        (40, {"merge_method": "ties", "filters": ["q_proj"], "layer_granularity": 2}, 12),
    ],
)
def test_a_dozen_dimensions_are_the_most(
    models: int, genome: dict[str, Any], dimensions: int
) -> None:
    """Curves get shorter, densities one, and filters fewer as models get more."""
    genome |= {"models": [f"m{index}" for index in range(models)], "base_model": "base"}
    assert len(Space(space_of({"genome": genome}, "f")).dimensions) == dimensions


def test_any_filter_has_numbers_of_its_own() -> None:
    genome = {"models": ["a"], "merge_method": "task_arithmetic", "base_model": "b"}
    space = space_of({"genome": genome | {"filters": ["q_proj"]}}, "f")
    search = {"search": [0.0, 1.5]}
    assert space["models"][0]["parameters"]["weight"] == [
        {"filter": "q_proj", "value": search},
        {"value": search},
    ]


def test_models_may_be_mappings() -> None:
    models = [{"model": {"path": "a", "revision": "v1"}}, "b"]
    space = space_of({"genome": {"models": models, "merge_method": "slerp"}}, "f")
    assert space["models"] == [{"model": "a@v1"}, {"model": "b"}]
    assert space["base_model"] == "a@v1"


def test_metrics_keep_their_weights_and_directions() -> None:
    """A task twice keeps both metrics; what counts against a candidate is minimized."""
    tasks = [
        {"name": "gsm8k", "metric": "exact_match,strict-match", "weight": 0.5},
        {"name": "gsm8k", "metric": "exact_match,flexible-extract", "weight": 2},
        {"name": "wikitext", "metric": "word_perplexity,none", "weight": -0.1},
        {"name": "toxic", "metric": "acc", "weight": 1},
        {"name": "toxic", "metric": "toxicity", "weight": -3},
        {"name": "ignored", "weight": 0},
    ]
    assert objectives_from_tasks({"tasks": tasks}, "f")["objectives"] == {
        "gsm8k": {
            "tasks": [
                {"task": "gsm8k", "metric": "exact_match,strict-match", "weight": 0.5},
                {"task": "gsm8k", "metric": "exact_match,flexible-extract", "weight": 2.0},
            ],
            "reference": 0.0,
        },
        "wikitext": {
            "tasks": [{"task": "wikitext", "metric": "word_perplexity", "weight": 0.1}],
            "direction": "minimize",
            "reference": 1000.0,
        },
        "toxic": {"tasks": [{"task": "toxic", "metric": "acc", "weight": 1.0}], "reference": 0.0},
        "toxic toxicity": {
            "tasks": [{"task": "toxic", "metric": "toxicity", "weight": 3.0}],
            "direction": "minimize",
            "reference": 1.0,
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
        ({"filters": "q_proj"}, "`filters` 'q_proj' is not a list of strings"),
        ({"speed": 1}, "unknown key 'speed'"),
        ({"models": "a"}, "no list of `models`"),
    ],
)
def test_evolve_files_that_are_not_understood(change: dict[str, Any], message: str) -> None:
    document = yaml.safe_load(EVOLVE)
    with pytest.raises(SpaceError, match=message):
        space_of(document | {"genome": document["genome"] | change}, "f")
    with pytest.raises(SpaceError, match="not a list of tasks"):
        objectives_from_tasks({"tasks": []}, "f")
