"""The config.json of a merged model: one parent's, with another's context and its own layers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from mergesearch.merge.config import output_config


def parent(n_layers: int, **config: Any) -> Any:
    return SimpleNamespace(config=config, layout=SimpleNamespace(n_layers=n_layers))


def test_context_settings_come_from_the_other_parent_as_a_whole() -> None:
    donor = parent(2, hidden_size=64, rope_theta=1e4, sliding_window=128, use_cache=True)
    context = parent(2, hidden_size=99, rope_theta=1e6, max_position_embeddings=32768)
    assert output_config(donor, context, [0, 1]) == {
        "hidden_size": 64,
        "use_cache": True,
        "rope_theta": 1e6,
        "max_position_embeddings": 32768,
    }


def test_another_number_of_layers_is_written() -> None:
    donor = parent(2, num_hidden_layers=2)
    assert output_config(donor, donor, [0, 1]) == {"num_hidden_layers": 2}
    assert output_config(donor, donor, [0, 1, 1]) == {"num_hidden_layers": 3}


def test_the_kind_of_a_layer_is_that_of_the_parents_layer() -> None:
    kinds = ["full_attention", "sliding_attention"]
    donor = parent(2, layer_types=kinds)
    found = output_config(donor, donor, [1, 0, 1, 2])
    assert found["layer_types"] == [
        "sliding_attention",
        "full_attention",
        "sliding_attention",
        "sliding_attention",
    ]
