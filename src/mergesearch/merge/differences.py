"""What a person should know of a merge: settings in which parents differ, filters without tensors.

Of settings a merge takes those of one parent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mergesearch.gguf import BuiltInLayout, Layout, layer_of, rope_parameters
from mergesearch.gguf.family import completed
from mergesearch.merge.merged_model import MergedModel
from mergesearch.parents import Checkpoint
from mergesearch.recipe import Recipe
from mergesearch.vocabulary import Tokenizer
from mergesearch.vocabulary.files import text_of

_KEYS = ("max_position_embeddings", "rms_norm_eps", "final_logit_softcapping")


def differences(merged: MergedModel, parents: Mapping[str, Checkpoint]) -> Iterator[str]:
    """Yield a sentence for every setting that is another in a parent than in the merged model."""
    expected = _settings(merged.config, merged.layout, merged.tokenizer)
    found = {
        ref: _settings(parent.config, parent.layout, parent.tokenizer)
        for ref, parent in parents.items()
    }
    names = [name for settings in (expected, *found.values()) for name in settings]
    for name in dict.fromkeys(names):
        others: dict[str, list[str]] = {}
        for ref, settings in found.items():
            if settings.get(name) != expected.get(name):
                others.setdefault(_shown(settings.get(name)), []).append(ref)
        if others:
            places = [f"{value} in {' and '.join(refs)}" for value, refs in others.items()]
            ours = f"{_shown(expected.get(name))} in the merge"
            yield f"{name} is {', '.join([ours, *places])}"


def unmatched_filters(recipe: Recipe, merged: MergedModel) -> Iterator[str]:
    """Yield a sentence for every filter of a recipe that no tensor's name contains."""
    names = list(merged.tensors)
    parts = dict.fromkeys(
        name.partition(f".{layer}.")[2].split(".")[0]
        for name in names
        if (layer := layer_of(name)) is not None
    )
    for text in dict.fromkeys(text for merge in recipe.merges for text in merge.filters()):
        if not any(text in name for name in names):
            yield f"the filter {text!r} is in no tensor's name: a layer has {', '.join(parts)}"


def _settings(
    config: Mapping[str, Any], layout: Layout, tokenizer: Tokenizer | None
) -> dict[str, Any]:
    """What a model's answers depend on beside its weights; what is not set is left out."""
    if isinstance(layout, BuiltInLayout):
        config = completed(config, layout.family)
    rope = rope_parameters(config)
    settings = {"rope_theta": rope.pop("rope_theta", None)}
    settings["rope scaling"] = _scaling(rope)
    settings["sliding_window"] = _window(config)
    settings |= {key: config.get(key) for key in _KEYS}
    settings["eos_token"] = _eos(tokenizer)
    return {name: value for name, value in settings.items() if value is not None}


def _scaling(rope: Mapping[str, Any]) -> str | None:
    """The scaling of rotary positions, in one line."""
    kind = rope.get("rope_type", "default")
    if kind == "default":
        return None
    numbers = {key: value for key, value in rope.items() if isinstance(value, int | float)}
    return " ".join([str(kind), *(f"{key}={value:g}" for key, value in sorted(numbers.items()))])


def _window(config: Mapping[str, Any]) -> int | None:
    """The length of the window that attention is limited to, if it is."""
    window = config.get("sliding_window") if config.get("use_sliding_window", True) else None
    return window if isinstance(window, int) else None


def _eos(tokenizer: Tokenizer | None) -> str | None:
    if tokenizer is None:
        return None
    row = tokenizer.ids.get("eos", -1)
    return text_of(tokenizer.settings.get("eos_token")) or tokenizer.tokens.get(row)


def _shown(value: Any) -> str:
    match value:
        case None:
            return "not set"
        case float():
            return f"{value:g}"
        case _:
            return str(value)
