"""What a GGUF holds beside merged values: metadata, constants, and how the weights are stored."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import gguf
import numpy as np
import numpy.typing as npt

from mergesearch.errors import CheckpointError
from mergesearch.gguf import StoredTensor, add_model_metadata, extra_tensors, gguf_tensors
from mergesearch.gguf.pack import Keys, packed_keys, writer_without_keys
from mergesearch.merge import MergePlan
from mergesearch.quantize.mix import Model
from mergesearch.recipe import Recipe
from mergesearch.vocabulary import Tokenizer
from mergesearch.vocabulary.to_gguf import read_vocabulary


@dataclass(frozen=True)
class Contents:
    """Everything in a file but the merged values.

    Attributes:
        arch: GGUF's name of the architecture.
        model: what the choice of types depends on.
        keys: of the metadata in order, in sections, for a file type.
        constants: vectors that are stored as they are, by name.
        tensors: the weights in the order of the file.
    """

    arch: str
    model: Model
    keys: Callable[[gguf.LlamaFileType], Sequence[Keys]]
    constants: Mapping[str, npt.NDArray[np.float32]]
    tensors: Sequence[StoredTensor]


def built_in_contents(recipe: Recipe, plan: MergePlan) -> Contents:
    """Return the contents for a merge of a built-in architecture.

    Raises:
        CheckpointError: there is no tokenizer, or llama.cpp cannot compute the model.
    """
    tokenizer, layout = plan.tokenizer, plan.layout
    if tokenizer is None:
        raise CheckpointError(
            "the parent that gives the tokenizer has no tokenizer.json",
            where=recipe.base_model or recipe.named()[0],
            fix="name a parent that has one: tokenizer_source",
        )

    arch = gguf.MODEL_ARCH_NAMES[layout.arch]

    def keys(file_type: gguf.LlamaFileType) -> Sequence[Keys]:
        model = gguf.GGUFWriter(None, arch)
        add_model_metadata(model, layout, plan.config, tokenizer.generation)
        kind = writer_without_keys()
        kind.add_quantization_version(gguf.GGML_QUANT_VERSION)
        kind.add_file_type(file_type)
        vocabulary = _packed_vocabulary(tokenizer, layout.vocab_rows)
        return [packed_keys(model), vocabulary, packed_keys(kind)]

    return Contents(
        arch=arch,
        model=Model(layout.n_layers, wide_groups=layout.wide_groups),
        keys=keys,
        constants=extra_tensors(layout, plan.config),
        tensors=gguf_tensors(layout),
    )


@lru_cache(maxsize=4)
def _packed_vocabulary(tokenizer: Tokenizer, rows: int) -> Keys:
    """A vocabulary's keys, packed once for all candidates."""
    writer = writer_without_keys()
    read_vocabulary(tokenizer, rows).add_to(writer)
    return packed_keys(writer)
