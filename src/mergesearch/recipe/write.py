"""From a recipe back to documents: ours, and mergekit's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import yaml

from mergesearch.errors import RecipeError
from mergesearch.methods import Base
from mergesearch.recipe.types import (
    Filtered,
    Input,
    ParameterValue,
    Quantization,
    Slice,
    TokenizerChoice,
    TokenSource,
)

if TYPE_CHECKING:
    from mergesearch.recipe import Recipe


def stage_document(recipe: Recipe) -> dict[str, Any]:
    """Return one merge as a document, without its stages and what concerns the candidate."""
    document: dict[str, Any] = {} if recipe.name is None else {"name": recipe.name}
    document["merge_method"] = recipe.merge_method
    if recipe.base_model is not None:
        document["base_model"] = recipe.base_model
    if recipe.models:
        document["models"] = [_input(one) for one in recipe.models]
    if recipe.slices:
        document["slices"] = [_slice(one) for one in recipe.slices]
    if recipe.parameters:
        document["parameters"] = _parameters(recipe.parameters)
    document["dtype"] = recipe.dtype
    if recipe.tokenizer is not None:
        document |= _tokenizer(recipe.tokenizer)
    if recipe.chat_template is not None:
        document["chat_template"] = recipe.chat_template
    if recipe.context_source is not None:
        document["context_source"] = recipe.context_source
    return document


def quantization_document(choice: Quantization) -> str | dict[str, Any]:
    """Return a mix by its name, or with the types of single tensors."""
    if not choice.tensors:
        return choice.mix
    return {"mix": choice.mix, "tensors": dict(choice.tensors)}


def mergekit_documents(recipe: Recipe) -> list[dict[str, Any]]:
    """Return the documents that mergekit runs to the weights of a recipe, the last one last.

    mergekit casts weights to the working dtype and stores every stage, so all is asked for in
    float32 and only the last result is stored in the recipe's dtype. Linear and passthrough have
    no base; mergekit would take one that is named for a parent without weight. Weights and `t`,
    which have no default there, are written out as global parameters.

    Raises:
        RecipeError: mergekit does not have one of the methods, or cannot read a parent.
    """
    _check_readable(recipe)
    documents = []
    for merge in (*recipe.stages, recipe):
        if not merge.method.in_mergekit:
            raise RecipeError(f"mergekit has no {merge.merge_method}; export the recipe instead")
        document = stage_document(merge)
        if merge.method.base is Base.UNUSED:
            document.pop("base_model", None)
        if "base_model" not in document and merge.tokenizer is not None:
            document |= _tokenizer(_named_source(merge.tokenizer, merge))
        defaults = {
            parameter.name: parameter.default
            for parameter in merge.method.parameters
            if parameter.required_in_mergekit and parameter.name not in merge.parameters
        }
        if defaults:
            document["parameters"] = document.get("parameters", {}) | defaults
        document.pop("context_source", None)
        document["dtype"] = "float32"
        document["out_dtype"] = recipe.dtype if merge is recipe else "float32"
        documents.append(document)
    return documents


def _check_readable(recipe: Recipe) -> None:
    for ref in recipe.parents():
        if any(part.endswith(".gguf") for part in ref.split("+")):
            raise RecipeError(
                f"mergekit cannot read the GGUF {ref}",
                fix="build it as safetensors (search build --to safetensors) and name that folder",
            )


def to_yaml(documents: Iterable[Mapping[str, Any]]) -> str:
    """Return documents as one YAML text, short lists and mappings on one line."""
    return yaml.dump_all(
        [dict(one) for one in documents],
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=None,
        width=100,
    )


class _Dumper(yaml.SafeDumper):
    """Writes a value that stands in two places twice; an anchor would tie them together."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _value(value: ParameterValue) -> Any:
    if not isinstance(value, tuple):
        return value
    if not isinstance(value[0], Filtered):
        return list(value)
    return [
        ({} if one.filter is None else {"filter": one.filter}) | {"value": _value(one.value)}
        for one in value
        if isinstance(one, Filtered)
    ]


def _parameters(parameters: Mapping[str, ParameterValue]) -> dict[str, Any]:
    return {name: _value(value) for name, value in parameters.items()}


def _input(one: Input) -> dict[str, Any]:
    document: dict[str, Any] = {"model": one.model}
    if one.layer_range is not None:
        document["layer_range"] = list(one.layer_range)
    if one.parameters:
        document["parameters"] = _parameters(one.parameters)
    return document


def _tokenizer(choice: TokenizerChoice) -> dict[str, Any]:
    """The old key where it says everything, the block elsewhere."""
    if not choice.tokens and choice.pad_to_multiple_of is None:
        return {"tokenizer_source": choice.source}
    block: dict[str, Any] = {"source": choice.source}
    if choice.tokens:
        block["tokens"] = {text: _token(one) for text, one in choice.tokens.items()}
    if choice.pad_to_multiple_of is not None:
        block["pad_to_multiple_of"] = choice.pad_to_multiple_of
    return {"tokenizer": block}


def _named_source(choice: TokenizerChoice, merge: Recipe) -> TokenizerChoice:
    """The choice with the parent's name for `base`, which mergekit takes for any one of them."""
    first = merge.base_model or merge.named()[0]
    return replace(choice, source=first) if choice.source == "base" else choice


def _token(one: TokenSource) -> dict[str, Any]:
    source: Any = {"kind": "zero"} if one.model is None else one.model
    if one.token is not None or one.token_id is not None:
        source = {"kind": "model_token", "model": one.model}
        source |= {"token_id": one.token_id} if one.token is None else {"token": one.token}
    return {"source": source} | ({"force": True} if one.force else {})


def _slice(part: Slice) -> dict[str, Any]:
    document: dict[str, Any] = {"sources": [_input(one) for one in part.sources]}
    if part.base_model is not None:
        document["base_model"] = part.base_model
    if part.parameters:
        document["parameters"] = _parameters(part.parameters)
    return document
