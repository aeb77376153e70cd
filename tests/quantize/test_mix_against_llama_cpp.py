"""The mixes against llama.cpp's own quantizer: whole files, every tensor's type and bytes."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import gguf
import llama_cpp
import numpy as np
import pytest
from gguf import GGMLQuantizationType as Type
from helpers.parents import make_family

from mergesearch.build import Workshop
from mergesearch.errors import RecipeError
from mergesearch.parents import open_parents
from mergesearch.quantize.mix import MIXES, ModelTraits, tensor_types
from mergesearch.recipe import Recipe

WIDE = {"hidden_size": 256, "intermediate_size": 256, "num_attention_heads": 4}
ODD = {"hidden_size": 192, "intermediate_size": 256, "num_attention_heads": 3}
SHAPES: dict[str, dict[str, Any]] = {
    "qwen2, 4 layers, tied": WIDE | {"arch": "qwen2", "num_hidden_layers": 4, "tied": True},
    "llama, 4 layers, odd feed-forward": WIDE
    | {"arch": "llama", "num_hidden_layers": 4, "intermediate_size": 352},
    "llama, 9 layers": WIDE | {"arch": "llama", "num_hidden_layers": 9},
    "qwen2, 9 layers, tied, odd width": ODD
    | {"arch": "qwen2", "num_hidden_layers": 9, "tied": True, "num_key_value_heads": 1},
    "qwen2, 16 layers, untied, odd width": {"hidden_size": 64, "intermediate_size": 64}
    | {"arch": "qwen2", "num_hidden_layers": 16, "num_attention_heads": 2},
    "llama, 16 layers, tied, grouped": {"hidden_size": 256, "intermediate_size": 256}
    | {"arch": "llama", "num_hidden_layers": 16, "tied": True}
    | {"num_attention_heads": 4, "num_key_value_heads": 1, "head_dim": 16},
    "qwen3, 6 layers, untied": WIDE | {"arch": "qwen3", "num_hidden_layers": 6},
    "qwen3, 10 layers, tied, odd width": ODD
    | {"arch": "qwen3", "num_hidden_layers": 10, "tied": True, "num_key_value_heads": 3},
    "gemma2, 5 layers": WIDE | {"arch": "gemma2", "num_hidden_layers": 5, "tied": True},
    "gemma3, 9 layers, odd width": ODD
    | {"arch": "gemma3_text", "num_hidden_layers": 9, "tied": True, "num_key_value_heads": 1},
    "gemma3, 8 layers, untied": WIDE | {"arch": "gemma3_text", "num_hidden_layers": 8},
    "gemma4, 5 layers": WIDE | {"arch": "gemma4_text", "tied": True},
    "phi3, 9 layers, untied": WIDE | {"arch": "phi3", "num_hidden_layers": 9},
    "phi3, 4 layers, tied": WIDE | {"arch": "phi3", "num_hidden_layers": 4, "tied": True},
    "qwen2, 4 layers, widths that only F16 holds": {"hidden_size": 80, "num_attention_heads": 5}
    | {"arch": "qwen2", "num_hidden_layers": 4, "num_key_value_heads": 5, "head_dim": 16},
}

RULED = ("Q4_K_S", "Q4_K_M", "Q5_K_M")
"""Mixes that keep some layers finer. In the others widths and the head alone decide."""
OF_ALL_WIDTHS = (
    "qwen2, 4 layers, tied",
    "llama, 4 layers, odd feed-forward",
    "qwen2, 9 layers, tied, odd width",
    "qwen3, 6 layers, untied",
    "gemma4, 5 layers",
    "qwen2, 4 layers, widths that only F16 holds",
)
"""Shapes that all mixes are compared on."""


def llama_quantize(
    source: Path, target: Path, mix: str, overrides: dict[str, Type] | None = None
) -> None:
    """Quantize a GGUF with llama.cpp itself."""
    settings = llama_cpp.llama_model_quantize_default_params()
    settings.ftype = int(MIXES[mix].file_type)
    settings.nthread = 2
    table = (llama_cpp.llama_model_tensor_override * (len(overrides or {}) + 1))()
    for place, (expression, kind) in enumerate((overrides or {}).items()):
        table[place].pattern, table[place].type = expression.encode(), int(kind)
    settings.tt_overrides = table
    code = llama_cpp.llama_model_quantize(
        str(source).encode(), str(target).encode(), ctypes.byref(settings)
    )
    assert code == 0


Tensors = dict[str, tuple[str, list[int], bytes]]


def read(path: Path) -> tuple[Tensors, dict[str, Any]]:
    """Every tensor's type, shape and bytes, and the metadata."""
    reader = gguf.GGUFReader(path)
    tensors = {
        tensor.name: (
            tensor.tensor_type.name,
            [int(size) for size in tensor.shape],
            tensor.data.tobytes(),
        )
        for tensor in reader.tensors
    }
    return tensors, {name: field.contents() for name, field in sorted(reader.fields.items())}


def merge_of(folder: Path, shape: dict[str, Any], **changes: Any) -> Recipe:
    options = dict(shape)
    tied = options.pop("tied", False)
    family = make_family(folder, ("a", "b"), tie_word_embeddings=tied, **options)
    models = [
        {"model": family["a"], "parameters": {"weight": 0.75}},
        {"model": family["b"], "parameters": {"weight": [0.25, 0.5]}},
    ]
    return Recipe.from_dict({"merge_method": "linear", "models": models} | changes)


@pytest.mark.parametrize("shape", SHAPES)
def test_files_equal_llama_model_quantize(shape: str, tmp_path: Path) -> None:
    """Each mix equals llama.cpp's of the same merge in F32.

    One projection of Gemma 4 it leaves in the type of its source, as which it has F16 elsewhere.
    """
    recipe = merge_of(tmp_path, SHAPES[shape])
    parents = open_parents(recipe.parents())
    plain, ours, theirs = (tmp_path / f"{name}.gguf" for name in ("plain", "ours", "theirs"))
    Workshop(parents).gguf(recipe, plain, quant="F32")
    # The types of a float mix depend on ranks alone, which the first shape has all of.
    floats = [name for name, mix in MIXES.items() if not mix.quantizes]
    for mix in MIXES if shape in OF_ALL_WIDTHS else RULED:
        if mix in floats and shape != next(iter(SHAPES)):
            continue
        Workshop(parents).gguf(recipe, ours, quant=mix)
        llama_quantize(plain, theirs, mix)
        left = () if MIXES[mix].quantizes or mix == "F32" else ("per_layer_model_proj.weight",)
        (found, our_metadata), (expected, their_metadata) = read(ours), read(theirs)
        for name in left:
            assert found.pop(name, (mix,))[0] == mix
            expected.pop(name, None)
        assert found == expected, mix
        assert our_metadata == their_metadata


def test_overrides_equal_llama_model_quantize(tmp_path: Path) -> None:
    """The first expression that is found counts, falls back too, and shifts the mix's counting."""
    tensors = {r"blk\.[12]\.attn_v": "Q8_0", "attn_(q|v)": "Q5_K", "ffn_down": "F16"}
    tensors |= {"token_embd": "Q4_1", "^output.weight$": "Q5_0", "attn_output": "BF16"}
    shape = WIDE | {"arch": "llama", "num_hidden_layers": 9, "intermediate_size": 352}
    recipe = merge_of(tmp_path, shape, quantize={"mix": "Q4_K_M", "tensors": tensors})
    parents = open_parents(recipe.parents())
    plain, ours, theirs = (tmp_path / f"{name}.gguf" for name in ("plain", "ours", "theirs"))
    Workshop(parents).gguf(recipe, plain, quant="F32")
    Workshop(parents).gguf(recipe, ours)
    llama_quantize(plain, theirs, "Q4_K_M", {name: Type[kind] for name, kind in tensors.items()})
    tensors, _ = read(ours)
    assert tensors == read(theirs)[0]
    found = {name: kind for name, (kind, _, _) in tensors.items()}
    assert found["blk.1.attn_v.weight"] == "Q8_0"
    assert found["blk.0.attn_v.weight"] == "Q5_K"
    assert found["blk.0.attn_q.weight"] == "Q5_K"


def test_overrides_that_no_tensor_takes_are_refused(tmp_path: Path) -> None:
    for expression in ("attn_qkv", "attn_norm"):
        tensors = {"attn_v": "Q6_K", expression: "Q8_0"}
        recipe = merge_of(tmp_path, {"arch": "qwen2"}, quantize={"mix": "Q4_0", "tensors": tensors})
        with pytest.raises(RecipeError, match=expression):
            Workshop.for_recipe(recipe).gguf(recipe, tmp_path / "m.gguf")


def made_up_file(
    path: Path, arch: str, n_layers: int, n_experts: int, kv_heads: int
) -> ModelTraits:
    """An F32 GGUF with what the choice of types depends on, and next to nothing else."""
    writer = gguf.GGUFWriter(path, arch)
    writer.add_block_count(n_layers)
    writer.add_context_length(64)
    writer.add_embedding_length(256)
    writer.add_feed_forward_length(256)
    writer.add_head_count(8)
    writer.add_head_count_kv(kv_heads)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_vocab_size(8)
    if n_experts:
        writer.add_expert_count(n_experts)
        writer.add_expert_used_count(1)
    expert = (n_experts, 2, 256) if n_experts else (2, 256)
    suffix = "_exps" if n_experts else ""
    attention = ("attn_q", "attn_k", "attn_v", "attn_output")
    layer = {f"{name}.weight": (2, 256) for name in attention}
    layer |= {f"ffn_{name}{suffix}.weight": expert for name in ("down", "gate", "up")}
    layer |= {"ffn_gate_inp.weight": (n_experts, 256)} if n_experts else {}
    names = {"token_embd.weight": (8, 256), "output.weight": (8, 256), "output_norm.weight": (256,)}
    for index in range(n_layers):
        names |= {f"blk.{index}.{name}": shape for name, shape in layer.items()}
    for name, shape in names.items():
        writer.add_tensor(name, np.ones(shape, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return ModelTraits(n_layers, n_experts, wide_groups=n_layers == 80 and kv_heads < 8)


@pytest.mark.parametrize(
    ("arch", "n_layers", "n_experts", "kv_heads"),
    [
        ("llama", 9, 8, 2),
        ("llama", 9, 2, 8),
        ("llama", 80, 0, 1),
        ("llama", 80, 0, 8),
        ("qwen2", 80, 0, 1),
    ],
)
def test_experts_and_large_models(
    arch: str, n_layers: int, n_experts: int, kv_heads: int, tmp_path: Path
) -> None:
    """Experts' matrices are stacked; eight of them, or 80 layers, have rules of their own."""
    plain, theirs = tmp_path / "plain.gguf", tmp_path / "theirs.gguf"
    model = made_up_file(plain, arch, n_layers, n_experts, kv_heads)
    shapes = {
        tensor.name: tuple(reversed([int(size) for size in tensor.shape]))
        for tensor in gguf.GGUFReader(plain).tensors
    }
    for mix in MIXES:
        llama_quantize(plain, theirs, mix)
        found = {tensor.name: tensor.tensor_type for tensor in gguf.GGUFReader(theirs).tensors}
        assert tensor_types(mix, shapes, model) == found, mix
