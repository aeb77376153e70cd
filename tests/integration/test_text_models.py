"""Checkpoints that read images too: their text models, against transformers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from helpers.parents import make_parent, write_tokenizer
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from mergesearch.build import Workshop
from mergesearch.errors import CheckpointError
from mergesearch.parents import open_checkpoint
from mergesearch.recipe import Recipe

TEXT = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "vocab_size": 384,
    "max_position_embeddings": 256,
    "bos_token_id": None,
    "eos_token_id": 0,
    "pad_token_id": 0,
}
VISION = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "image_size": 28,
    "patch_size": 14,
}
QWEN_VISION = {"depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2}
SECTIONS = {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 1e4}
GEMMA4 = TEXT | {"global_head_dim": 32, "sliding_window": 16, "tie_word_embeddings": True}
KINDS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "gemma3": (
        "Gemma3",
        TEXT | {"query_pre_attn_scalar": 16, "sliding_window": 16, "tie_word_embeddings": True},
        VISION | {"vision_use_head": False},
    ),
    "gemma4": (
        "Gemma4",
        GEMMA4 | {"hidden_size_per_layer_input": 8, "vocab_size_per_layer_input": 384},
        VISION | {"num_key_value_heads": 2, "head_dim": 8},
    ),
    "gemma4_unified": ("Gemma4Unified", GEMMA4, {}),
    "mistral3": ("Mistral3", TEXT | {"model_type": "mistral"}, VISION | {"head_dim": 8}),
    "granite": (
        "LlavaNext",
        {key: value for key, value in TEXT.items() if key != "head_dim"}
        | {"model_type": "granite", "tie_word_embeddings": True, "logits_scaling": 1.0},
        VISION | {"model_type": "clip_vision_model", "projection_dim": 16},
    ),
    "qwen3_5": (
        "Qwen3_5",
        TEXT
        | {"linear_key_head_dim": 16, "linear_value_head_dim": 16, "linear_num_key_heads": 2}
        | {"linear_num_value_heads": 4, "num_hidden_layers": 4},
        QWEN_VISION | {"out_hidden_size": 64},
    ),
    "qwen2_5_vl": (
        "Qwen2_5_VL",
        {key: value for key, value in TEXT.items() if key != "head_dim"}
        | {"rope_scaling": SECTIONS},
        QWEN_VISION | {"out_hidden_size": 64, "fullatt_block_indexes": [0]},
    ),
    "qwen3_vl": (
        "Qwen3VL",
        TEXT | {"rope_scaling": SECTIONS | {"mrope_interleaved": True}},
        QWEN_VISION | {"out_hidden_size": 64, "deepstack_visual_indexes": [0]},
    ),
}
IDS = torch.tensor([[5, 77, 300, 12, 350, 1, 9]])


def make_model(kind: str, folder: Path) -> Any:
    """A model of transformers' own class with random weights, saved with a tokenizer."""
    name, text, vision = KINDS[kind]
    config = getattr(transformers, f"{name}Config")(text_config=text, vision_config=vision)
    torch.manual_seed(3)
    model = getattr(transformers, f"{name}ForConditionalGeneration")(config).eval()
    model.save_pretrained(folder)
    write_tokenizer(folder)
    return model


def recipe_of(*folders: Path) -> Recipe:
    models = [{"model": str(folder), "parameters": {"weight": 1.0}} for folder in folders]
    return Recipe.from_dict({"merge_method": "linear", "models": models, "dtype": "float32"})


@pytest.mark.parametrize("kind", KINDS)
def test_the_text_model_computes_what_the_whole_does_with_text(kind: str, tmp_path: Path) -> None:
    model = make_model(kind, tmp_path / "whole")
    recipe = recipe_of(tmp_path / "whole")
    workshop = Workshop.for_recipe(recipe)
    workshop.safetensors(recipe, tmp_path / "text")
    alone = AutoModelForCausalLM.from_pretrained(tmp_path / "text").eval()
    with torch.no_grad():
        expected, found = model(input_ids=IDS).logits, alone(IDS).logits
    assert (found - expected).abs().max() < 1e-5
    (note,) = workshop.notes(recipe)
    assert "the text model of" in note
    assert "other tensors are left out" in note
    with workshop.candidate(recipe) as candidate:
        assert candidate.size > 50_000


@pytest.mark.parametrize("prefix", ["language_model.model.", "model.language_model.", "model."])
def test_older_and_newer_names_are_the_same_model(prefix: str, tmp_path: Path) -> None:
    """As published before and after the text model moved, and beside a tower without a prefix."""
    plain = make_parent(tmp_path / "plain", 0, arch="mistral", head_dim=16)
    config = json.loads((plain / "config.json").read_text())
    weights = load_file(plain / "model.safetensors")
    folder = make_parent(tmp_path / "whole", 0, arch="mistral", head_dim=16)
    head = prefix.removesuffix("model.") if prefix.startswith("language_model") else ""
    stored = {
        prefix + name.removeprefix("model.") if name.startswith("model.") else head + name: value
        for name, value in weights.items()
    }
    stored["vision_tower.transformer.layers.0.attention_norm.weight"] = torch.ones(4)
    stored["multi_modal_projector.linear_1.weight"] = torch.ones(4, 4)
    save_file(stored, folder / "model.safetensors")
    whole = {"architectures": ["Mistral3ForConditionalGeneration"], "vision_config": {}}
    whole |= {"text_config": {key: config[key] for key in config if key != "architectures"}}
    (folder / "config.json").write_text(json.dumps(whole))
    found, expected = open_checkpoint(str(folder)), open_checkpoint(str(plain))
    assert found.tensors == expected.tensors
    assert found.layout == expected.layout
    digests = []
    for recipe in (recipe_of(folder), recipe_of(plain), recipe_of(folder, plain)):
        with Workshop.for_recipe(recipe).candidate(recipe) as candidate:
            digests.append(candidate.digest)
    assert digests[0] == digests[1] == digests[2]


def test_a_text_model_of_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    folder = make_parent(tmp_path / "a", 0)
    config = {"architectures": ["OddForConditionalGeneration"], "vision_config": {}}
    config |= {"text_config": {"model_type": "odd"}}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match='model_type of the text model is "odd"'):
        open_checkpoint(str(folder))
