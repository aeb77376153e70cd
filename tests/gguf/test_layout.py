"""The shape of a model, against the tensors that transformers makes."""

from __future__ import annotations

import pytest
from helpers.parents import ARCHITECTURES, make_config
from transformers import AutoConfig, AutoModelForCausalLM

from mergesearch.errors import CheckpointError
from mergesearch.gguf import layout_of, stored_tensors


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_tensors_are_those_of_transformers(arch: str) -> None:
    """Names and shapes equal those of the model that transformers makes of the config."""
    config = make_config(arch)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**config))
    expected = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    if config["tie_word_embeddings"]:
        del expected["lm_head.weight"]
    layout = layout_of(config, "test")
    assert layout.tensor_shapes() == expected
    stored = stored_tensors(layout)
    assert [tensor.segments[0].name for tensor in stored] == list(layout.tensor_shapes())
    assert len({tensor.name for tensor in stored}) == len(stored)


def test_unsupported_architecture() -> None:
    with pytest.raises(CheckpointError, match="GemmaForCausalLM"):
        layout_of(make_config() | {"architectures": ["GemmaForCausalLM"]}, "here")
