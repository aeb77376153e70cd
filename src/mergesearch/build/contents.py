"""What a GGUF holds beside merged values: metadata, constants, and how the weights are stored."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gguf

from mergesearch._kernels.stored import Float
from mergesearch._system.memo import Memo
from mergesearch.errors import CheckpointError
from mergesearch.gguf import (
    BuiltInLayout,
    StoredTensor,
    extra_tensors,
    model_metadata,
    stored_tensors,
)
from mergesearch.gguf.family import NOT_BUILT_IN
from mergesearch.gguf.pack import Metadata, Section
from mergesearch.merge import MergedModel
from mergesearch.quantize.mix import ModelTraits, traits_of
from mergesearch.recipe import Recipe
from mergesearch.vocabulary import Tokenizer
from mergesearch.vocabulary.to_gguf import read_vocabulary


@dataclass(frozen=True)
class Contents:
    """Everything in a file but the merged values.

    Attributes:
        traits: Traits that the types of the tensors depend on.
        metadata: Function from a file type and the keys of a label to the packed metadata, in
            sections.
        constants: Vectors that are stored as they are, by name.
        tensors: How the weights are stored, in the order of the file.
    """

    traits: ModelTraits
    metadata: Callable[[gguf.LlamaFileType, Mapping[str, Any]], Sequence[Section]]
    constants: Mapping[str, Float]
    tensors: Sequence[StoredTensor]


def built_in_contents(recipe: Recipe, merged: MergedModel, memo: Memo) -> Contents:
    """Return the contents for a merge of a built-in architecture.

    Args:
        memo: Packed vocabularies, which are the same for all candidates.

    Raises:
        CheckpointError: The architecture is not built in, there is no tokenizer, or llama.cpp
            cannot compute the model.
    """
    tokenizer, layout = merged.tokenizer, merged.layout
    donor = recipe.last.donor
    if not isinstance(layout, BuiltInLayout):
        raise CheckpointError(
            f"{layout.title} is not built in",
            where=donor,
            fix=NOT_BUILT_IN,
        )
    if tokenizer is None:
        raise CheckpointError(
            "the parent that gives the tokenizer has no tokenizer.json",
            where=donor,
            fix="name a parent that has one: tokenizer_source",
        )

    def metadata(file_type: gguf.LlamaFileType, label: Mapping[str, Any]) -> Sequence[Section]:
        model = model_metadata(layout, merged.config, tokenizer.generation)
        for key, value in label.items():
            model.add(key, value)
        kind = Metadata()
        kind.add(gguf.Keys.General.QUANTIZATION_VERSION, gguf.GGML_QUANT_VERSION)
        kind.add(gguf.Keys.General.FILE_TYPE, int(file_type))
        vocabulary = memo(
            _packed_vocabulary, tokenizer, layout.vocab_rows, layout.family.spaced_tokenizer
        )
        return [model.packed(), vocabulary, kind.packed()]

    return Contents(
        traits=traits_of(
            gguf.MODEL_ARCH_NAMES[layout.arch],
            layout.n_layers,
            layout.n_experts,
            grouped=layout.n_heads != layout.n_kv_heads,
        ),
        metadata=metadata,
        constants=extra_tensors(layout, merged.config),
        tensors=stored_tensors(layout),
    )


def _packed_vocabulary(tokenizer: Tokenizer, rows: int, spaced: str) -> Section:
    keys = Metadata()
    read_vocabulary(tokenizer, rows, spaced).add_to(keys)
    return keys.packed()
