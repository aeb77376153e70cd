"""The `config.json` of a merged model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mergesearch.parents import Checkpoint

CONTEXT_KEYS = (
    "max_position_embeddings",
    "original_max_position_embeddings",
    "rope_theta",
    "rope_scaling",
    "rope_parameters",
    "rope_local_base_freq",
    "partial_rotary_factor",
    "sliding_window",
    "use_sliding_window",
    "sliding_window_pattern",
    "max_window_layers",
    "layer_types",
    "dual_chunk_attention_config",
)
"""What decides how long a text a model reads and how it tells positions apart."""


_BY_LAYER = ("layer_types", "no_rope_layers")
"""Settings that have a value for each layer."""


def output_config(donor: Checkpoint, context: Checkpoint, layers: Sequence[int]) -> dict[str, Any]:
    """Return a parent's config with another's long-context settings and the output's layers.

    Args:
        donor: Parent that gives everything else.
        context: Parent whose `CONTEXT_KEYS` hold; one that it lacks the result lacks too.
        layers: Parent's layer that decides the kind of each layer of the output.
    """
    result = {key: value for key, value in donor.config.items() if key not in CONTEXT_KEYS}
    result |= {key: context.config[key] for key in CONTEXT_KEYS if key in context.config}
    if len(layers) != donor.layout.n_layers:
        result["num_hidden_layers"] = len(layers)
    for key in _BY_LAYER:
        kinds = result.get(key)
        if isinstance(kinds, list) and kinds:
            result[key] = [kinds[min(layer, len(kinds) - 1)] for layer in layers]
    return result
