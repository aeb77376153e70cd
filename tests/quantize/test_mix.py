"""Which type each tensor takes in a mix, tensor by tensor."""

from __future__ import annotations

import pytest
from gguf import GGMLQuantizationType as Type

from mergesearch.quantize.mix import (
    MIXES,
    ModelTraits,
    deserves_more_bits,
    is_quantized,
    tensor_types,
)

BITS = {"4": Type.Q4_K, "5": Type.Q5_K, "6": Type.Q6_K, "8": Type.Q8_0}


def types_by_layer(types: dict[str, Type], name: str, n_layers: int) -> str:
    """The bits of a K-quant (8: Q8_0) that a tensor has in each layer, one digit a layer."""
    digits = {kind: digit for digit, kind in BITS.items()}
    return "".join(digits[types[f"blk.{layer}.{name}.weight"]] for layer in range(n_layers))


def model(*names: str, n_layers: int) -> dict[str, tuple[int, ...]]:
    """Shapes of a model whose layers have the tensors named; the last layer comes first."""
    return {
        f"blk.{layer}.{name}.weight": (8, 256)
        for layer in reversed(range(n_layers))
        for name in names
    }


def test_layers_with_more_bits() -> None:
    """First eighth, last eighth, every third of the rest."""
    finer = [layer for layer in range(32) if deserves_more_bits(layer, 32)]
    assert finer == [0, 1, 2, 3, 6, 9, 12, 15, 18, 21, 24, 27, 28, 29, 30, 31]
    assert [layer for layer in range(4) if deserves_more_bits(layer, 4)] == [2, 3]
    assert [layer for layer in range(12) if deserves_more_bits(layer, 12)] == [0, 3, 6, 9, 10, 11]


@pytest.mark.parametrize(
    ("mix", "values", "downs"),
    [
        ("Q4_K_S", "555544444444", "544444444444"),
        ("Q4_K_M", "644644644666", "644644644666"),
        ("Q5_K_M", "655655655666", "655655655666"),
        ("Q6_K", "666666666666", "666666666666"),
        ("Q8_0", "888888888888", "888888888888"),
    ],
)
def test_value_and_down_projections_are_finer_in_some_layers(
    mix: str, values: str, downs: str
) -> None:
    shapes = model("attn_v", "ffn_down", "attn_q", n_layers=12)
    types = tensor_types(mix, shapes, ModelTraits(12))
    assert types_by_layer(types, "attn_v", 12) == values
    assert types_by_layer(types, "ffn_down", 12) == downs
    assert {types[f"blk.{layer}.attn_q.weight"] for layer in range(12)} == {MIXES[mix].most}


@pytest.mark.parametrize("name", ["attn_v", "attn_qkv", "attn_kv_b"])
def test_value_projections_are_counted_among_themselves(name: str) -> None:
    """Of sixteen layers the odd ones have one: the first four are finer, and not the first two."""
    every = model("attn_q", name, n_layers=16)
    odd = {key: shape for key, shape in every.items() if int(key.split(".")[1]) % 2}
    types = tensor_types("Q4_K_S", odd, ModelTraits(16))
    found = [types[f"blk.{layer}.{name}.weight"] for layer in range(1, 16, 2)]
    assert found == [Type.Q5_K] * 4 + [Type.Q4_K] * 4
    types = tensor_types("Q4_K_M", odd, ModelTraits(16))
    found = [types[f"blk.{layer}.{name}.weight"] for layer in range(1, 16, 2)]
    assert found == [BITS[digit] for digit in "64464466"]  # of eight


def test_overridden_tensors_are_not_counted() -> None:
    """The first expression that is found in the name counts, and types fall back too."""
    shapes = model("attn_v", "ffn_down", n_layers=16) | {"blk.0.attn_q.weight": (8, 32)}
    overrides = {r"blk\.[01]\.": Type.Q8_0, "attn_v|attn_q": Type.Q4_0, "attn_q": Type.Q6_K}
    types = tensor_types("Q4_K_S", shapes, ModelTraits(16), overrides)
    assert types["blk.1.attn_v.weight"] == Type.Q8_0
    assert types["blk.2.attn_v.weight"] == Type.Q4_0
    assert types["blk.0.attn_q.weight"] == Type.Q8_0
    # Two of sixteen are finer: those of layers 2 and 3, since 0 and 1 are named.
    assert types_by_layer(types, "ffn_down", 16) == "8855444444444444"
    wide = {"blk.0.attn_q.weight": (8, 896)}
    types = tensor_types("Q4_K_M", wide, ModelTraits(1), {"attn": Type.Q5_K})
    assert types == {"blk.0.attn_q.weight": Type.Q5_1}


def test_experts_have_the_type_of_their_layer() -> None:
    """A layer has two: all experts in one tensor, and an expert that every token takes.

    Without experts the two would be counted one by one, as layers 0 and 1, 2 and 3, and so on.
    """
    shapes = model("ffn_down_exps", "ffn_down_shexp", n_layers=16)
    for n_experts, experts, shared in (
        (64, "6644644644644666", "6644644644644666"),
        (2, "6644644644644666", "6644644644644666"),
        (1, "6464464666666666", "6446446666666666"),
    ):
        types = tensor_types("Q4_K_M", shapes, ModelTraits(16, n_experts))
        assert types_by_layer(types, "ffn_down_exps", 16) == experts
        assert types_by_layer(types, "ffn_down_shexp", 16) == shared


@pytest.mark.parametrize(
    ("mix", "n_experts", "name", "expected"),
    [
        ("Q4_K_M", 8, "attn_v", Type.Q8_0),
        ("Q4_K_M", 8, "attn_k", Type.Q8_0),
        ("Q4_K_M", 8, "attn_output", Type.Q5_K),
        ("Q4_K_S", 8, "attn_output", Type.Q5_K),
        ("Q5_K_M", 8, "attn_output", Type.Q5_K),
        ("Q6_K", 8, "attn_output", Type.Q6_K),
        ("Q4_K_M", 8, "attn_q", Type.Q4_K),
        ("Q6_K", 8, "attn_v", Type.Q8_0),
        ("Q4_K_M", 7, "attn_v", Type.Q4_K),
        ("Q4_K_M", 9, "attn_k", Type.Q4_K),
        ("Q4_K_M", 0, "attn_output", Type.Q4_K),
    ],
)
def test_attention_beside_eight_experts_is_finer(
    mix: str, n_experts: int, name: str, expected: Type
) -> None:
    types = tensor_types(mix, model(name, n_layers=4), ModelTraits(4, n_experts))
    assert types[f"blk.0.{name}.weight"] == expected


@pytest.mark.parametrize(
    ("mix", "values", "keys"),
    [
        ("Q4_K_S", "55555555", "44444444"),
        ("Q4_K_M", "65565566", "44444444"),
        ("Q5_K_M", "65565566", "55555555"),
        ("Q6_K", "66666666", "66666666"),
    ],
)
def test_few_value_heads_are_finer(mix: str, values: str, keys: str) -> None:
    types = tensor_types(
        mix, model("attn_v", "attn_k", n_layers=8), ModelTraits(8, wide_groups=True)
    )
    assert types_by_layer(types, "attn_v", 8) == values
    assert types_by_layer(types, "attn_k", 8) == keys


@pytest.mark.parametrize(
    ("mix", "name", "cols", "tied", "expected"),
    [
        ("Q4_K_M", "token_embd.weight", 256, True, Type.Q6_K),
        ("Q4_K_M", "token_embd.weight", 256, False, Type.Q4_K),
        ("Q4_K_M", "token_embd.weight", 896, True, Type.Q8_0),
        ("Q4_K_M", "token_embd.weight", 896, False, Type.Q5_0),
        ("Q4_K_M", "per_layer_token_embd.weight", 256, True, Type.Q6_K),
        ("Q4_K_M", "per_layer_token_embd.weight", 256, False, Type.Q4_K),
        ("Q4_K_M", "output.weight", 256, False, Type.Q6_K),
        ("Q4_K_M", "output.weight", 40, False, Type.F16),
        ("Q5_K_M", "blk.0.attn_q.weight", 896, False, Type.Q5_1),
        ("Q6_K", "blk.0.attn_q.weight", 896, False, Type.Q8_0),
        ("Q4_K_M", "blk.0.ffn_down.weight", 896, False, Type.Q5_0),
        ("Q4_K_M", "blk.0.ffn_down.weight", 40, False, Type.F16),
        ("Q4_K_M", "blk.2.ffn_up.weight", 256, False, Type.Q4_K),
        ("Q4_0", "blk.2.attn_v.weight", 896, False, Type.Q4_0),
        ("Q4_0", "blk.2.attn_v.weight", 40, False, Type.F16),
        ("Q4_0", "output.weight", 896, False, Type.Q8_0),
        ("Q4_0", "output.weight", 256, False, Type.Q6_K),
        ("Q8_0", "output.weight", 256, False, Type.Q8_0),
        ("F16", "output.weight", 40, False, Type.F16),
        ("BF16", "blk.0.ffn_down.weight", 256, False, Type.BF16),
        ("F32", "blk.0.ffn_down.weight", 256, False, Type.F32),
        ("F16", "per_layer_model_proj.weight", 256, False, Type.F16),
        ("Q4_K_M", "per_layer_model_proj.weight", 256, False, Type.F32),
        ("F16", "blk.0.attn_norm.weight", 256, False, Type.F32),
        ("Q4_K_M", "output_norm.weight", None, False, Type.F32),
    ],
)
def test_type_of_single_tensors(
    mix: str, name: str, cols: int | None, tied: bool, expected: Type
) -> None:
    """A type whose blocks do not fill a row falls back to one with smaller blocks, or to F16."""
    shapes: dict[str, tuple[int, ...]] = {} if tied else {"output.weight": (8, 256)}
    shapes[name] = (256,) if cols is None else (8, cols)
    assert tensor_types(mix, shapes, ModelTraits(4))[name] == expected


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("blk.0.attn_q.bias", (8, 256)),
        ("blk.0.attn_k.weight", (1, 256)),
        ("output_norm.weight", (256,)),
        ("blk.0.attn_q_norm.weight", (8, 256)),
        ("blk.0.ffn_gate_inp.weight", (8, 256)),
        ("altup_proj.weight", (3, 8, 256)),
        ("blk.0.laurel_l.weight", (8, 256)),
        ("per_layer_model_proj.weight", (8, 256)),
        ("position_embd.weight", (8, 256)),
        ("token_types.weight", (8, 256)),
        ("blk.0.ssm_conv1d.weight", (8, 256)),
        ("blk.0.shortconv.conv.weight", (8, 256)),
        ("blk.0.indexer.k_proj.weight", (8, 256)),
        ("blk.0.indexer.q_proj.weight", (8, 256)),
        ("blk.0.time_mix_first.weight", (8, 256)),
        ("blk.0.time_mix_w0.weight", (8, 256)),
        ("blk.0.time_mix_v1.weight", (8, 256)),
        ("blk.0.time_mix_a2.weight", (8, 256)),
        ("blk.0.time_mix_g1.weight", (8, 256)),
        ("blk.0.time_mix_decay_w1.weight", (8, 256)),
        ("blk.0.time_mix_decay_w2.weight", (8, 256)),
        ("blk.0.time_mix_lerp_fused.weight", (8, 256)),
        ("enc.blk.0.attn_rel_b.weight", (8, 256)),
    ],
)
def test_small_and_sensitive_tensors_are_not_quantized(name: str, shape: tuple[int, ...]) -> None:
    assert not is_quantized(name, shape)
    assert tensor_types("Q4_K_M", {name: shape}, ModelTraits(4)) == {name: Type.F32}


def test_matrices_are_quantized() -> None:
    for name, shape in (
        ("blk.0.attn_k.weight", (2, 256)),
        ("blk.0.ffn_up_exps.weight", (2, 1, 256)),
        ("blk.0.ffn_up_exps.weight", (1, 2, 256)),
        ("blk.0.time_mix_key.weight", (8, 256)),
        ("blk.0.shortconv.in_proj.weight", (8, 256)),
    ):
        assert is_quantized(name, shape)


def test_what_is_not_quantized_is_in_one_float_type() -> None:
    assert [name for name, mix in MIXES.items() if not mix.quantizes] == ["F16", "BF16", "F32"]
