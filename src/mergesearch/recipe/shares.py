"""What part of a merged model each parent makes up, as far as the recipe alone tells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from mergesearch.recipe.types import Merge, OutputLayer, parents_of

# The second stands for a dense MLP and for experts: filters of both find it.
_TENSORS = ("self_attn.q_proj", "block_sparse_moe.mlp.down_proj")


class LayerShares(NamedTuple):
    """Coefficient of each parent in one layer.

    Attributes:
        attention: Coefficients in the attention.
        mlp: Coefficients in the MLP.
    """

    attention: Mapping[str, float]
    mlp: Mapping[str, float]


def mean_shares(merges: Sequence[Merge], n_layers: int) -> dict[str, float]:
    """Return each parent's mean coefficient in the merged weights; the values sum to 1.

    The mean runs over the attention and the MLP of every layer.

    Args:
        merges: Merges that feed each other, the last one the result.
        n_layers: Number of layers of the parents.
    """
    layers = layer_shares(merges, n_layers)
    totals = dict.fromkeys(parents_of(merges), 0.0)
    for layer in layers:
        for shares in layer:
            for parent, share in shares.items():
                totals[parent] += share / (len(layers) * len(layer))
    return totals


def layer_shares(merges: Sequence[Merge], n_layers: int) -> list[LayerShares]:
    """Return each parent's coefficients in every layer of the result.

    Each method says by its `shares` what its inputs make up; what a stage has in a merge is divided
    among its own parents.

    Args:
        merges: Merges that feed each other, the last one the result.
        n_layers: Number of layers of the parents.
    """
    layers: list[LayerShares] = []
    stages: dict[str, list[LayerShares]] = {}
    for merge in merges:
        first = stages.get(merge.inputs[0].model)
        layers = [
            LayerShares(*(_shares(merge, place, index, tensor, stages) for tensor in _TENSORS))
            for index, place in enumerate(merge.layers(n_layers if first is None else len(first)))
        ]
        stages[merge.name] = layers
    return layers


def _shares(
    merge: Merge,
    place: OutputLayer,
    index: int,
    tensor: str,
    stages: Mapping[str, Sequence[LayerShares]],
) -> dict[str, float]:
    """The coefficients of parents in one tensor of one output layer."""
    base, inputs = merge.base_and_inputs(place.slice)
    names = [_name(tensor, source.layer(place.offset)) for source in inputs]
    named = list(zip(inputs, names, strict=True))
    settings = merge.settings(place.slice, named, _name(tensor, index), place.depth)
    parts, rest = merge.method.shares(settings, len(inputs))
    members = list(zip(inputs, parts, strict=True))
    totals: dict[str, float] = {}
    for source, share in members if base is None else [(base, rest), *members]:
        if source.model in stages:
            below = stages[source.model][source.layer(place.offset)][_TENSORS.index(tensor)]
            inner = {parent: share * own for parent, own in below.items()}
        else:
            inner = {source.model: share}
        for parent, own in inner.items():
            totals[parent] = totals.get(parent, 0.0) + own
    return totals


def _name(tensor: str, layer: int) -> str:
    return f"model.layers.{layer}.{tensor}.weight"


def short_names(parents: Sequence[str]) -> list[str]:
    """Return parents' names without what stands before the last `/` or `:`, where that is clear."""
    short = [parent.rstrip("/").split("/")[-1].split(":")[-1] for parent in parents]
    return short if len(set(short)) == len(short) else list(parents)
