"""What a GGUF holds beside merged values: metadata, constants, and how the weights are stored."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import gguf
import numpy as np
import numpy.typing as npt

from mergesearch.errors import CheckpointError
from mergesearch.gguf_layout import StoredTensor, add_model_metadata, extra_tensors, gguf_tensors
from mergesearch.gguf_vocab import read_vocabulary
from mergesearch.merge import MergePlan
from mergesearch.quantize.mix import Model
from mergesearch.recipe import Recipe


@dataclass(frozen=True)
class Contents:
    """Everything in a file but the merged values.

    Attributes:
        arch: GGUF's name of the architecture.
        model: what the choice of types depends on.
        add_metadata: adds every key to a writer, given the file type.
        constants: vectors that are stored as they are, by name.
        tensors: the weights in the order of the file.
    """

    arch: str
    model: Model
    add_metadata: Callable[[gguf.GGUFWriter, gguf.LlamaFileType], None]
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

    def add_metadata(writer: gguf.GGUFWriter, file_type: gguf.LlamaFileType) -> None:
        add_model_metadata(writer, layout, plan.config, tokenizer.generation)
        read_vocabulary(tokenizer, layout.vocab_rows).add_to(writer)
        writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
        writer.add_file_type(file_type)

    return Contents(
        arch=gguf.MODEL_ARCH_NAMES[layout.arch],
        model=Model(layout.n_layers, wide_groups=layout.wide_groups),
        add_metadata=add_metadata,
        constants=extra_tensors(layout, plan.config),
        tensors=gguf_tensors(layout),
    )
