"""From a recipe to the tensors of its result: which parent's tensor goes where, and how merged.

Which parent's layer goes where matches mergekit 0.1.5 (`plan.py`): the embedding takes the first
slice's inputs, the last norm and the head the last slice's, all three at the first point of a
gradient.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mergesearch._system.memo import Memo
from mergesearch._system.spare import Spare
from mergesearch.errors import CheckpointError, RecipeError
from mergesearch.gguf import EMBEDDING, BuiltInLayout, Layout, layer_of, with_layer
from mergesearch.merge.compatibility import check_compatible
from mergesearch.merge.config import output_config
from mergesearch.merge.merged_model import MergedModel, PlannedTensor, Source
from mergesearch.merge.stopping import Stopping
from mergesearch.merge.vocabulary import align
from mergesearch.methods.noise import noise_key
from mergesearch.parents import Checkpoint
from mergesearch.recipe import Merge, MergeInput, OutputLayer, Recipe
from mergesearch.vocabulary import Tokenizer, with_chat_template


def plan_merge(
    recipe: Recipe,
    parents: Mapping[str, Checkpoint],
    stop: threading.Event | None = None,
    memo: Memo | None = None,
    spare: Spare | None = None,
) -> MergedModel:
    """Return the model that a recipe makes of opened parents.

    Args:
        stop: Event that ends the reading of blocks once it is set.
        memo: Results about vocabularies, for all recipes over the same parents.
        spare: Room for rows of stages that several passes read; None for what the machine has.

    Raises:
        CheckpointError: Parents or stages do not fit each other.
        RecipeError: A layer range goes beyond a parent's layers, or parameters do not go together.
    """
    means = _Means(
        Stopping(stop),
        Memo() if memo is None else memo,
        Spare.of_machine() if spare is None else spare,
    )
    available: dict[str, Checkpoint] = dict(parents)
    for merge in recipe.merges[:-1]:
        available[merge.name] = _plan(merge, (recipe.seed, merge.name), available, means)
    return _plan(recipe.last, (recipe.seed, ""), available, means)


@dataclass(frozen=True)
class _Means:
    """What all merges of a recipe share: what ends them, what they remember, and room."""

    stopping: Stopping
    memo: Memo
    spare: Spare


def _plan(
    merge: Merge,
    origin: tuple[int, str],
    available: Mapping[str, Checkpoint],
    means: _Means,
) -> MergedModel:
    """Plan one merge over parents and earlier stages; seed and stage's name key its noise."""
    taken = {ref: available[ref] for ref in merge.refs}
    check_compatible(taken, same_depth=merge.whole)
    if not all(isinstance(parent.layout, BuiltInLayout) for parent in taken.values()):
        _check_found(merge, taken)
    aligned = align(taken, merge.base_model, merge.tokenizer, means.memo)
    tokenizer = _with_template(aligned.tokenizer, merge, taken, means.memo)
    _check_layer_ranges(merge, taken)
    donor = aligned.parents[merge.donor]
    layers = merge.layers(donor.layout.n_layers)
    kinds = _layer_kinds(merge, layers)
    layout = donor.layout.with_layers([layer for _, layer in kinds])
    _check_tables(merge, layout)
    tensors = []
    for name, shape in layout.tensor_shapes().items():
        index = layer_of(name)
        layer = None if index is None else layers[index]
        tensors.append(_plan_tensor(merge, origin, name, shape, layer))
    _check_sources(tensors, aligned.parents)
    context = _context_parent(merge, donor, available)
    config = output_config(donor, context, [layer for _, layer in kinds])
    if tokenizer is not None:  # the donor's rows may stand for other tokens
        config |= {f"{kind}_token_id": row for kind, row in tokenizer.ids.items()}
    return MergedModel(
        origin[1],
        merge.method,
        aligned.parents,
        tensors,
        config,
        layout,
        tokenizer,
        stopping=means.stopping,
        stages={ref for ref, parent in taken.items() if isinstance(parent, MergedModel)},
        spare=means.spare,
        layers=tuple(_first_layer(taken[ref], layer) for ref, layer in kinds),
    )


def _first_layer(parent: Checkpoint, layer: int) -> int:
    """The layer of a parent of the first stage that tells the kind of a parent's layer."""
    return parent.layers[layer] if isinstance(parent, MergedModel) else layer


def _check_found(merge: Merge, taken: Mapping[str, Checkpoint]) -> None:
    """Refuse what needs more knowledge of an architecture than a template gives."""
    if merge.context_source:
        raise RecipeError(
            "`context_source` goes with architectures that are built in, not with a template",
            expected="the context settings of the template",
        )
    if not merge.whole and EMBEDDING not in taken[merge.donor].tensors:
        raise RecipeError(
            f"`slices` of an architecture whose embedding is not called {EMBEDDING}",
            expected="whole parents, as it is not known which tensors come before the layers",
        )


def _check_tables(merge: Merge, layout: Layout) -> None:
    """Refuse several slices of a model with a table outside its layers that is of them all."""
    if isinstance(layout, BuiltInLayout) and layout.has_tables_by_layer and len(merge.slices) > 1:
        raise RecipeError(
            f"several slices of {layout.title}, which looks tokens up in one table for all layers",
            expected="whole models, or one slice of all layers",
        )


def _check_sources(tensors: Sequence[PlannedTensor], parents: Mapping[str, Checkpoint]) -> None:
    """Refuse tensors that a parent's layer lacks, or has in another shape."""
    for tensor in tensors:
        for source in tensor.sources:
            info = parents[source.parent].tensors.get(source.name)
            if info is None or info.shape != tensor.shape:
                raise CheckpointError(
                    f"{source.name} is missing"
                    if info is None
                    else f"{source.name} has the shape {info.shape}",
                    where=source.parent,
                    expected=f"{tensor.shape}, as the layer of the result in its place",
                )


def _with_template(
    tokenizer: Tokenizer | None, merge: Merge, taken: Mapping[str, Checkpoint], memo: Memo
) -> Tokenizer | None:
    """The tokenizer with the chat template that a merge names."""
    if merge.chat_template is None:
        return tokenizer
    if tokenizer is None:
        raise CheckpointError(
            "no tokenizer.json that could hold the chat_template", where=merge.donor
        )
    theirs = tuple(parent.tokenizer for parent in taken.values() if parent.tokenizer is not None)
    return memo(with_chat_template, tokenizer, merge.chat_template, theirs)


def _check_layer_ranges(merge: Merge, taken: Mapping[str, Checkpoint]) -> None:
    for source in merge.inputs:
        available = taken[source.model].layout.n_layers
        if source.layer_range is not None and source.layer_range[1] > available:
            raise RecipeError(
                f"layer_range {list(source.layer_range)} of {source.model}",
                expected=f"at most {available} layers",
            )


def _context_parent(
    merge: Merge, donor: Checkpoint, available: Mapping[str, Checkpoint]
) -> Checkpoint:
    source = merge.context_source
    if source in (None, "base"):
        return donor
    if source not in available:
        raise RecipeError(
            f"context_source {source!r} is not a parent of this recipe",
            expected="base, or one of " + ", ".join(available),
        )
    return available[source]


def _layer_kinds(merge: Merge, layers: Sequence[OutputLayer]) -> list[tuple[str, int]]:
    """The parent and its layer that tell the kind of each output layer."""
    kinds = []
    for layer in layers:
        base, inputs = merge.base_and_inputs(layer.slice)
        source = base or inputs[0]
        kinds.append((source.model, source.layer(layer.offset)))
    return kinds


def _plan_tensor(
    merge: Merge,
    origin: tuple[int, str],
    name: str,
    shape: tuple[int, ...],
    layer: OutputLayer | None,
) -> PlannedTensor:
    """Plan one tensor; outside the layers there is no layer."""
    if layer is None:
        part, depth = merge.slices[0 if name == EMBEDDING else -1], 0.0
    else:
        part, depth = layer.slice, layer.depth

    def tensor_of(source: MergeInput) -> Source:
        own = name if layer is None else with_layer(name, source.layer(layer.offset))
        return Source(source.model, own)

    base, inputs = merge.base_and_inputs(part)
    sources = tuple(tensor_of(source) for source in inputs)
    named = [(source, tensor.name) for source, tensor in zip(inputs, sources, strict=True)]
    settings = merge.settings(part, named, name, depth)
    if merge.method.check is not None:
        merge.method.check(settings, [f"{tensor.parent}, {name}" for tensor in sources])
    keys = tuple(noise_key(*origin, tensor.parent, name) for tensor in sources)
    return PlannedTensor(
        shape, "F32", name, None if base is None else tensor_of(base), sources, settings, keys
    )
