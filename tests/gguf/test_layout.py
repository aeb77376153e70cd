"""The shape of a model, against the tensors that transformers makes."""

from __future__ import annotations

import pytest
from helpers.parents import ARCHITECTURES, make_config
from transformers import AutoConfig, AutoModelForCausalLM

from mergesearch.errors import CheckpointError
from mergesearch.gguf import layout_of, stored_tensors

# transformers keeps the experts of a layer in one tensor, and stores them one by one.
DENSE = [arch for arch in ARCHITECTURES if arch not in ("mixtral", "qwen3_moe")]


@pytest.mark.parametrize("arch", DENSE)
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
    names = [segment.name for tensor in stored for segment in tensor.segments]
    assert list(dict.fromkeys(names)) == list(layout.tensor_shapes())
    assert len({tensor.name for tensor in stored}) == len(stored)


def test_layers_that_depend_on_each_other_stay_as_they_are() -> None:
    layout = layout_of(make_config("gemma4_text"), "test")
    assert layout.with_layers(range(5)).tensor_shapes() == layout.tensor_shapes()
    with pytest.raises(CheckpointError, match="other layers for Gemma4, of which some share keys"):
        layout.with_layers([0, 1, 2, 3])
    with pytest.raises(CheckpointError, match="400 tokens for Gemma4, which looks up 384"):
        layout.with_vocabulary(400, tied=True)
    apart = make_config("gemma4_text", num_kv_shared_layers=0, hidden_size_per_layer_input=0)
    stacked = layout_of(apart, "test").with_layers([0, 2, 2, 4])
    heads = [stacked.tensor_shapes()[f"model.layers.{layer}.{QUERIES}"] for layer in range(4)]
    assert heads == [(64, 64), (128, 64), (128, 64), (128, 64)]


QUERIES = "self_attn.q_proj.weight"


def test_keys_that_layers_share_may_be_stored() -> None:
    layout = layout_of(make_config("gemma4_text"), "test")
    assert layout.unused_tensors() == {
        f"model.layers.{layer}.self_attn.{name}.weight"
        for layer in (3, 4)
        for name in ("k_proj", "v_proj", "k_norm")
    }


def test_the_matrix_of_all_experts_is_one_tensor() -> None:
    """Its rows are those of one expert after the other."""
    layout = layout_of(make_config("qwen3_moe"), "test")
    stored = {tensor.name: tensor for tensor in stored_tensors(layout)}
    down = stored["blk.1.ffn_down_exps.weight"]
    assert down.shape == (4, 64, 32)
    assert (down.rows, down.cols) == (256, 32)
    assert [(segment.name, segment.start, segment.stop) for segment in down.segments] == [
        (f"model.layers.1.mlp.experts.{expert}.down_proj.weight", 0, 64) for expert in range(4)
    ]
    assert stored["blk.1.ffn_gate_inp.weight"].shape == (4, 64)
