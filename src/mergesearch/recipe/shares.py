"""What part of a merged model each parent makes up, as far as the recipe alone tells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mergesearch.recipe.types import Input, Slice

if TYPE_CHECKING:
    from mergesearch.recipe import Recipe

_TENSORS = ("self_attn.q_proj", "mlp.down_proj")


def mean_shares(recipe: Recipe, n_layers: int) -> dict[str, float]:
    """Return each parent's mean coefficient in the merged weights; the values sum to 1.

    The mean runs over the attention and the MLP of every layer. Sparsifying and sign consensus
    leave the coefficients as they are. Where the coefficients depend on the tensors (sce,
    model_stock, karcher, ram, the medians) the parents beside the base have equal parts; the one
    parent of nearswap and arcee_fusion shares with the base. What a stage has in a merge is
    divided among its own parents.

    Args:
        recipe: all of its stages come with it.
        n_layers: layers of the parents.
    """
    stages = {str(stage.name): stage for stage in recipe.stages}
    totals = dict.fromkeys(recipe.parents(), 0.0)
    depth = _depth(recipe, stages, n_layers)
    for layer in range(depth):
        for tensor in _TENSORS:
            for parent, share in _at(recipe, stages, n_layers, layer, tensor).items():
                totals[parent] += share / (depth * len(_TENSORS))
    return totals


def _depth(recipe: Recipe, stages: Mapping[str, Recipe], n_layers: int) -> int:
    """Layers of a merge's result."""
    spans = [part.sources[0].layer_range for part in recipe.slices]
    if spans:
        return sum(span[1] - span[0] for span in spans if span is not None)
    first = recipe.models[0].model
    return _depth(stages[first], stages, n_layers) if first in stages else n_layers


def _at(
    recipe: Recipe, stages: Mapping[str, Recipe], n_layers: int, layer: int, tensor: str
) -> dict[str, float]:
    """The coefficients of the recipe's own parents in one tensor of one output layer."""
    part, offset, depth = _place(recipe, layer, _depth(recipe, stages, n_layers))
    inputs = recipe.models if part is None else part.sources
    t = offset / (depth - 1) if depth > 1 else 1.0
    name = f"model.layers.{layer}.{tensor}.weight"
    totals: dict[str, float] = {}
    for model, share in _coefficients(recipe, part, inputs, name, t).items():
        inner = {model: share}
        if model in stages:
            begin = next((one.layer_range for one in inputs if one.model == model), None)
            below = (0 if begin is None else begin[0]) + offset
            found = _at(stages[model], stages, n_layers, below, tensor)
            inner = {parent: share * own for parent, own in found.items()}
        for parent, own in inner.items():
            totals[parent] = totals.get(parent, 0.0) + own
    return totals


def _place(recipe: Recipe, layer: int, depth: int) -> tuple[Slice | None, int, int]:
    """The slice of an output layer, the layer's place in it, and the slice's depth."""
    for part in recipe.slices:
        span = part.sources[0].layer_range or (0, 0)
        if layer < span[1] - span[0]:
            return part, layer, span[1] - span[0]
        layer -= span[1] - span[0]
    return None, layer, depth


def _coefficients(
    recipe: Recipe, part: Slice | None, named: tuple[Input, ...], tensor_name: str, depth: float
) -> dict[str, float]:
    base, inputs = recipe.base_and_inputs(part)
    pairs = [(source, tensor_name) for source in inputs]
    settings = recipe.settings(part, pairs, tensor_name, depth)
    parts, rest = recipe.method.shares(settings, len(inputs))
    shares = {} if base is None else {base.model: rest}
    return shares | {source.model: share for source, share in zip(inputs, parts, strict=True)}
