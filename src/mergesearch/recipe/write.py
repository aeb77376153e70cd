"""From a recipe back to documents: ours, and mergekit's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import yaml

from mergesearch.errors import RecipeError
from mergesearch.methods import Base
from mergesearch.recipe.references import ADAPTER, with_mergekit_references
from mergesearch.recipe.tokenizer import TokenizerChoice
from mergesearch.recipe.types import Merge, MergeInput, Slice, parents_of
from mergesearch.recipe.values import ParameterValue, value_document


def merge_document(merge: Merge) -> dict[str, Any]:
    """Return the document of one merge."""
    document: dict[str, Any] = {"name": merge.name} if merge.name else {}
    document["merge_method"] = merge.method.name
    if merge.base_model is not None:
        document["base_model"] = merge.base_model
    if merge.whole:
        document["models"] = [_input(source) for source in merge.inputs]
    else:
        document["slices"] = [_slice(part) for part in merge.slices]
    if merge.parameters:
        document["parameters"] = _parameters(merge.parameters)
    document["dtype"] = merge.dtype
    if merge.tokenizer is not None:
        document |= merge.tokenizer.to_document()
    if merge.chat_template is not None:
        document["chat_template"] = merge.chat_template
    if merge.context_source is not None:
        document["context_source"] = merge.context_source
    return document


def _slice(part: Slice) -> dict[str, Any]:
    document: dict[str, Any] = {"sources": [_input(source) for source in part.sources]}
    if part.base_model is not None:
        document["base_model"] = part.base_model
    if part.parameters:
        document["parameters"] = _parameters(part.parameters)
    return document


def _input(source: MergeInput) -> dict[str, Any]:
    document: dict[str, Any] = {"model": source.model}
    if source.layer_range is not None:
        document["layer_range"] = list(source.layer_range)
    if source.parameters:
        document["parameters"] = _parameters(source.parameters)
    return document


def _parameters(parameters: Mapping[str, ParameterValue]) -> dict[str, Any]:
    return {name: value_document(value) for name, value in parameters.items()}


def mergekit_documents(merges: Sequence[Merge]) -> list[dict[str, Any]]:
    """Return the documents that mergekit runs to the weights of a recipe, the last one last.

    mergekit casts weights to the working dtype and stores every stage, so all is asked for in
    float32 and only the last result is stored in the recipe's dtype. A base that the method has no
    use for is left out, since mergekit would take it for a parent without weight. Parameters that
    have no default there are written out as global parameters.

    Raises:
        RecipeError: Mergekit does not have one of the methods, or cannot read a parent.
    """
    for ref in parents_of(merges):
        if any(part.endswith(".gguf") for part in ref.split(ADAPTER)):
            raise RecipeError(
                f"mergekit cannot read the GGUF {ref}",
                fix="build it as safetensors (search build --to safetensors) and name that folder",
            )
    documents = [with_mergekit_references(_mergekit_document(merge)) for merge in merges]
    documents[-1]["out_dtype"] = merges[-1].dtype
    return documents


def _mergekit_document(merge: Merge) -> dict[str, Any]:
    method = merge.method
    if not method.in_mergekit:
        raise RecipeError(f"mergekit has no {method.name}; export the recipe instead")
    document = merge_document(merge)
    if method.base is Base.UNUSED:
        document.pop("base_model", None)
    if "base_model" not in document and merge.tokenizer is not None:
        document |= _with_named_base(merge.tokenizer, merge).to_document()
    defaults = {
        parameter.name: parameter.default
        for parameter in method.parameters
        if parameter.required_in_mergekit and parameter.name not in merge.parameters
    }
    if defaults:
        document["parameters"] = document.get("parameters", {}) | defaults
    document.pop("context_source", None)
    return document | {"dtype": "float32", "out_dtype": "float32"}


def _with_named_base(choice: TokenizerChoice, merge: Merge) -> TokenizerChoice:
    """The choice with the parent's name for `base`, which mergekit takes for any one of them."""
    return replace(choice, source=merge.donor) if choice.source == "base" else choice


def to_yaml(documents: Iterable[Mapping[str, Any]]) -> str:
    """Return documents as one YAML text, short lists and mappings on one line."""
    return yaml.dump_all(
        [dict(document) for document in documents],
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=None,
        width=100,
    )


class _Dumper(yaml.SafeDumper):
    """Writes a value that is in two places twice; an anchor would tie them together."""

    def ignore_aliases(self, data: Any) -> bool:
        return True
