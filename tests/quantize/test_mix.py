"""The mixes against llama.cpp's own quantizer: whole files, every tensor's type and bytes."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import llama_cpp
import pytest
from gguf import GGMLQuantizationType as Type
from gguf import GGUFReader
from parents import make_family

from mergesearch.candidate import build_gguf
from mergesearch.checkpoint import open_parents
from mergesearch.quantize.mix import MIXES, Model, deserves_more_bits, tensor_type
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
    "qwen2, 32 layers, untied, odd width": {"hidden_size": 64, "intermediate_size": 64}
    | {"arch": "qwen2", "num_hidden_layers": 32, "num_attention_heads": 2},
    "llama, 32 layers, tied, grouped": {"hidden_size": 256, "intermediate_size": 256}
    | {"arch": "llama", "num_hidden_layers": 32, "tied": True}
    | {"num_attention_heads": 4, "num_key_value_heads": 1, "head_dim": 16},
    "qwen2, 4 layers, widths that only F16 holds": {"hidden_size": 80, "num_attention_heads": 5}
    | {"arch": "qwen2", "num_hidden_layers": 4, "num_key_value_heads": 5, "head_dim": 16},
}


def llama_quantize(source: Path, target: Path, mix: str) -> None:
    """Quantize a GGUF with llama.cpp itself."""
    settings = llama_cpp.llama_model_quantize_default_params()
    settings.ftype = int(MIXES[mix].file_type)
    settings.nthread = 2
    code = llama_cpp.llama_model_quantize(
        str(source).encode(), str(target).encode(), ctypes.byref(settings)
    )
    assert code == 0


def contents(path: Path) -> dict[str, tuple[str, list[int], bytes]]:
    """Every tensor's type, shape and bytes."""
    return {
        one.name: (one.tensor_type.name, [int(size) for size in one.shape], one.data.tobytes())
        for one in GGUFReader(path).tensors
    }


@pytest.mark.parametrize("shape", SHAPES)
def test_files_equal_llama_model_quantize(shape: str, tmp_path: Path) -> None:
    """Every mix equals llama.cpp's of the same merge in F32."""
    options = dict(SHAPES[shape])
    tied = options.pop("tied", False)
    family = make_family(tmp_path, ("a", "b"), tie_word_embeddings=tied, **options)
    recipe = Recipe.from_dict(
        {
            "merge_method": "linear",
            "models": [
                {"model": family["a"], "parameters": {"weight": 0.75}},
                {"model": family["b"], "parameters": {"weight": [0.25, 0.5]}},
            ],
        }
    )
    parents = open_parents(recipe)
    plain = tmp_path / "plain.gguf"
    build_gguf(recipe, parents, plain, quant="F32")
    for mix in ("Q4_K_M", "Q4_0"):
        ours, theirs = tmp_path / "ours.gguf", tmp_path / "theirs.gguf"
        build_gguf(recipe, parents, ours, quant=mix)
        llama_quantize(plain, theirs, mix)
        assert contents(ours) == contents(theirs)
        assert metadata(ours) == metadata(theirs)


def metadata(path: Path) -> dict[str, Any]:
    reader = GGUFReader(path)
    return {name: field.contents() for name, field in sorted(reader.fields.items())}


def test_layers_with_more_bits() -> None:
    """First eighth, last eighth, every third of the rest."""
    finer = [layer for layer in range(32) if deserves_more_bits(layer, 32)]
    assert finer == [0, 1, 2, 3, 6, 9, 12, 15, 18, 21, 24, 27, 28, 29, 30, 31]
    assert [layer for layer in range(4) if deserves_more_bits(layer, 4)] == [2, 3]


@pytest.mark.parametrize(
    ("mix", "name", "cols", "layer", "tied", "expected"),
    [
        ("Q4_K_M", "token_embd.weight", 256, None, True, Type.Q6_K),
        ("Q4_K_M", "token_embd.weight", 256, None, False, Type.Q4_K),
        ("Q4_K_M", "token_embd.weight", 896, None, True, Type.Q8_0),
        ("Q4_K_M", "token_embd.weight", 896, None, False, Type.Q5_0),
        ("Q4_K_M", "output.weight", 256, None, False, Type.Q6_K),
        ("Q4_K_M", "blk.2.ffn_down.weight", 256, 2, False, Type.Q6_K),
        ("Q4_K_M", "blk.2.ffn_down.weight", 896, 2, False, Type.Q8_0),
        ("Q4_K_M", "blk.0.ffn_down.weight", 896, 0, False, Type.Q5_0),
        ("Q4_K_M", "blk.0.ffn_down.weight", 40, 0, False, Type.F16),
        ("Q4_K_M", "blk.2.ffn_up.weight", 256, 2, False, Type.Q4_K),
        ("Q4_0", "blk.2.attn_v.weight", 896, 2, False, Type.Q4_0),
        ("Q4_0", "output.weight", 896, None, False, Type.Q8_0),
        ("Q4_0", "output.weight", 256, None, False, Type.Q6_K),
        ("F16", "output.weight", 40, None, False, Type.F16),
    ],
)
def test_type_of_single_tensors(
    mix: str, name: str, cols: int, layer: int | None, tied: bool, expected: Type
) -> None:
    assert tensor_type(mix, name, (8, cols), layer, Model(4, tied)) == expected


def test_vectors_and_norms_stay_float() -> None:
    model = Model(4, tied=False)
    for name, shape in (("blk.0.attn_q.bias", (256,)), ("output_norm.weight", (256,))):
        assert tensor_type("Q4_K_M", name, shape, 0, model) == Type.F32
    assert tensor_type("Q4_K_M", "blk.0.attn_k.weight", (1, 256), 0, model) == Type.F32


def test_eighty_layers_with_grouped_queries_keep_values_finer() -> None:
    """The values of 70 B models take Q5_K where others take Q4_K."""
    values = [
        tensor_type("Q4_K_M", "blk.12.attn_v.weight", (8, 256), layer, Model(80, False, wide))
        for layer in (11, 12)
        for wide in (False, True)
    ]
    assert values == [Type.Q4_K, Type.Q5_K, Type.Q6_K, Type.Q6_K]
