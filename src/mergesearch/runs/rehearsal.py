"""A rehearsal of scoring: small candidates are scored in part, of large ones a few layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mergesearch.build import Workshop
from mergesearch.errors import RecipeError, ScorerCrashed
from mergesearch.parents import Checkpoint
from mergesearch.recipe import Recipe
from mergesearch.scoring import Rehearsal, ScoringProcess, at_depth
from mergesearch.scoring.memory import SMALL_MODEL_BYTES

_DEPTHS = (1, 4)  # layers of the models that stand for a larger one


def rehearse(workshop: Workshop, recipe: Recipe, scorer: ScoringProcess) -> Rehearsal | str:
    """Return how fast a recipe's candidate is scored, or the reason why that cannot be told.

    Args:
        recipe: Recipe of a candidate that answers sensibly.

    Raises:
        CheckpointError, BuildError, ScoringError: What fails in the night, too.
    """
    n_layers = workshop.plan(recipe).layout.n_layers
    small = workshop.size(recipe) <= SMALL_MODEL_BYTES
    whole = small or n_layers <= _DEPTHS[-1]
    if workshop.blueprint is not None and not whole:
        return "with a template no layers can be left out"
    measured = {}
    for depth in (n_layers,) if whole else _DEPTHS:
        model = recipe if whole else first_layers(recipe, workshop.parents, depth)
        try:
            with workshop.candidate(model) as built:
                measured[depth] = scorer.rehearse(built, to_the_end=whole)
        except (RecipeError, ScorerCrashed) as error:
            if whole:
                raise
            return f"{depth} of {n_layers} layers cannot be tried: {error.what}"
    return at_depth(measured, n_layers)


def first_layers(recipe: Recipe, parents: Mapping[str, Checkpoint], count: int) -> Recipe:
    """Return the recipe of a parent's first layers, with the tokens and chat template of another.

    Args:
        recipe: Recipe of a whole candidate.
        count: Number of layers.
    """
    last = recipe.last
    refs = (last.tokenizer and last.tokenizer.source, *last.refs, *parents)
    source = {"model": next(ref for ref in refs if ref in parents), "layer_range": [0, count]}
    document: dict[str, Any] = {
        "merge_method": "passthrough",
        "slices": [{"sources": [source]}],
        "quantize": recipe.quantize.mix,
    }
    if last.chat_template is not None:
        document["chat_template"] = last.chat_template
    return Recipe.from_dict(document)
