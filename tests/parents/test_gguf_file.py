"""GGUF parents: tensors, names, row order and settings come back; what cannot is refused."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from helpers.adapters import make_tensors, write_adapter
from helpers.parents import make_config, make_parent
from hypothesis import given
from hypothesis import strategies as st

from mergesearch.build import Workshop
from mergesearch.errors import CheckpointError
from mergesearch.gguf import gguf_names
from mergesearch.gguf.header import read_gguf_header
from mergesearch.parents import Checkpoint, open_checkpoint
from mergesearch.quantize import MIXES
from mergesearch.recipe import Recipe

WIDE = {"hidden_size": 256, "intermediate_size": 512, "vocab_size": 384}
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 32.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}

LONG = {"rope_type": "longrope", "short_factor": [1.0] * 8, "long_factor": [2.5] * 8}

OWN_KEYS = ("sliding_window", "attn_logit_softcapping", "final_logit_softcapping")
OWN_KEYS += ("query_pre_attn_scalar", "rope_local_base_freq", "partial_rotary_factor")
OWN_KEYS += ("num_local_experts", "num_experts", "num_experts_per_tok", "moe_intermediate_size")
OWN_KEYS += ("attention_multiplier", "embedding_multiplier", "logits_scaling", "norm_topk_prob")


def to_gguf(folder: Path, path: Path, quant: str = "F32") -> Path:
    recipe = Recipe.from_dict({"merge_method": "passthrough", "models": [{"model": str(folder)}]})
    Workshop.for_recipe(recipe).gguf(recipe, path, quant=quant)
    return path


def read(checkpoint: Checkpoint, name: str) -> Any:
    shape = checkpoint.tensors[name].shape
    return checkpoint.rows(name, 0, math.prod(shape[:-1])).reshape(shape)


@pytest.mark.parametrize(
    ("arch", "changes"),
    [
        ("llama", {}),
        ("llama", {"tie_word_embeddings": True, "head_dim": 32}),
        ("llama", {"attention_bias": True, "mlp_bias": True}),
        ("qwen2", {}),
        ("qwen2", {"tie_word_embeddings": True, "num_key_value_heads": 1}),
        ("qwen3", {}),
        ("gemma2", {}),
        ("gemma3_text", {}),
        ("gemma4_text", {}),
        (
            "gemma4_text",
            {"attention_k_eq_v": True, "num_global_key_value_heads": 1, "num_kv_shared_layers": 0}
            | {"hidden_size_per_layer_input": 0, "use_double_wide_mlp": False},
        ),
        ("qwen3_5_text", {"partial_rotary_factor": 0.5}),
        ("phi3", {"partial_rotary_factor": 0.5}),
        (
            "phi3",
            {"rope_scaling": LONG, "max_position_embeddings": 1024, "partial_rotary_factor": 1.0},
        ),
        ("mixtral", {}),
        ("qwen3_moe", {}),
        ("olmo2", {}),
        ("olmo3", {"num_hidden_layers": 5}),
        ("granite", {}),
        ("smollm3", {"tie_word_embeddings": True}),
        ("glm4", {"partial_rotary_factor": 0.25}),
    ],
)
def test_f32_comes_back_exactly(arch: str, changes: dict[str, Any], tmp_path: Path) -> None:
    """Every tensor of the folder, in its own row order, and every size of its config."""
    folder = make_parent(tmp_path / "a", 3, arch=arch, **changes)
    source = open_checkpoint(str(folder))
    path = to_gguf(folder, tmp_path / "a.gguf")
    found = open_checkpoint(str(path))
    assert found.ref == str(path)
    assert found.layout == source.layout
    assert set(found.tensors) == set(source.tensors)
    for name in source.tensors:
        assert found.tensors[name].dtype == "F32"
        if name.endswith("A_log"):  # stored as the exponential
            assert np.allclose(read(found, name), read(source, name), rtol=1e-5)
        else:
            assert np.array_equal(read(found, name), read(source, name)), name
    for key in ("max_position_embeddings", "rms_norm_eps", "rope_theta", "eos_token_id", *OWN_KEYS):
        assert found.config.get(key) == source.config.get(key), key
    again = to_gguf(path, tmp_path / "b.gguf").read_bytes()
    assert again == path.read_bytes() or arch == "qwen3_5_text"


@pytest.mark.parametrize(("start", "stop"), [(0, 128), (3, 5), (70, 75), (64, 97), (100, 128)])
def test_rows_of_value_heads_that_share_keys_may_be_cut_anywhere(
    start: int, stop: int, tmp_path: Path
) -> None:
    """They are stored in another order, in pieces."""
    folder = make_parent(tmp_path / "a", 3, arch="qwen3_5_text")
    found = open_checkpoint(str(to_gguf(folder, tmp_path / "a.gguf")))
    name = "model.layers.0.linear_attn.in_proj_qkv.weight"
    expected = read(open_checkpoint(str(folder)), name)[start:stop]
    assert np.array_equal(found.rows(name, start, stop), expected)


def test_tensors_that_are_not_used_are_left_out_and_said(tmp_path: Path) -> None:
    """Layers that predict several tokens, and keys of layers that take those of others."""
    folder = make_parent(tmp_path / "a", 3, arch="qwen3_5_text")
    path = to_gguf(folder, tmp_path / "a.gguf")
    keys = {"qwen35__block_count": 5, "qwen35__nextn_predict_layers": 1}
    names = ("blk.4.nextn.eh_proj.weight", "blk.4.attn_norm.weight")
    more = {name: np.ones((64, 128), np.float32) for name in names}
    found = open_checkpoint(str(_copy(path, tmp_path / "b.gguf", more=more, **keys)))
    assert found.tensors == open_checkpoint(str(path)).tensors
    assert found.notes == ["2 tensors that predict several tokens are left out"]
    path = to_gguf(make_parent(tmp_path / "g", 3, arch="gemma4_text"), tmp_path / "g.gguf")
    more = {"blk.4.attn_k.weight": np.ones((64, 64), np.float32)}
    more |= {"blk.4.attn_k_norm.weight": np.ones(32, np.float32)}
    found = open_checkpoint(str(_copy(path, tmp_path / "h.gguf", more=more)))
    assert found.tensors == open_checkpoint(str(path)).tensors
    assert found.notes == ["2 tensors are left out, of layers that share the keys of others"]


def test_a_mixture_of_scalings_comes_back(tmp_path: Path) -> None:
    """YaRN, and queries that grow with the position."""
    scaling = {"rope_type": "yarn", "factor": 16.0, "original_max_position_embeddings": 64}
    scaling |= {"mscale": 1.0, "mscale_all_dim": 1.0, "llama_4_scaling_beta": 0.1}
    folder = make_parent(tmp_path / "a", 3, arch="ministral3", head_dim=32, rope_scaling=scaling)
    found = open_checkpoint(str(to_gguf(folder, tmp_path / "a.gguf"))).config
    assert found["architectures"] == ["Ministral3ForCausalLM"]
    assert {key: found["rope_scaling"][key] for key in scaling} == scaling


@pytest.mark.parametrize("quant", [mixe for mixe in MIXES if mixe != "F32"])
@pytest.mark.parametrize("arch", ["llama", "qwen2"])
def test_equals_ggufs_own_dequantization(arch: str, quant: str, tmp_path: Path) -> None:
    """Values are those of gguf for the same file; query and key rows are those of the source."""
    folder = make_parent(tmp_path / "a", 3, arch=arch, **WIDE)
    source = open_checkpoint(str(folder))
    path = to_gguf(folder, tmp_path / "a.gguf", quant)
    found = open_checkpoint(str(path))
    names = gguf_names(found.layout)
    stored = {tensor.name: tensor for tensor in gguf.GGUFReader(path).tensors}
    for name in source.tensors:
        (one,) = (stored[own] for own in names[name])
        expected = gguf.dequantize(one.data, one.tensor_type).reshape(found.tensors[name].shape)
        values = read(found, name)
        assert found.tensors[name].dtype == one.tensor_type.name
        assert np.array_equal(np.sort(values, axis=0), np.sort(expected, axis=0)), name
        if not found.layout.family.permuted or not ("q_proj" in name or "k_proj" in name):
            assert np.array_equal(values, expected), name
        original = read(source, name)
        assert np.abs(values - original).max() < 0.3 * np.abs(original).max()
        assert np.corrcoef(values.ravel(), original.ravel())[0, 1] > 0.98


def test_rows_of_permuted_heads_may_be_cut_anywhere(tmp_path: Path) -> None:
    path = to_gguf(make_parent(tmp_path / "a", 3, arch="llama", **WIDE), tmp_path / "a.gguf")
    found = open_checkpoint(str(path))
    name = "model.layers.1.self_attn.q_proj.weight"
    whole = read(found, name)
    for start, stop in ((0, 1), (3, 5), (63, 65), (31, 130), (255, 256)):
        assert np.array_equal(found.rows(name, start, stop), whole[start:stop])


@pytest.mark.parametrize("kind", [kind.name for kind in gguf.GGMLQuantizationType])
def test_every_type_that_gguf_can_read(kind: str, tmp_path: Path) -> None:
    """One matrix of random bytes in each type: gguf's numbers, or a refusal that names it."""
    quantization = gguf.GGMLQuantizationType[kind]
    folder = make_parent(tmp_path / "a", 3, **WIDE)
    path = to_gguf(folder, tmp_path / "a.gguf")
    name = "blk.1.ffn_down.weight"
    replaced = _with_tensor(path, tmp_path / "b.gguf", name, quantization)
    raw = np.array(
        next(tensor.data for tensor in gguf.GGUFReader(replaced).tensors if tensor.name == name)
    )
    try:
        expected = gguf.dequantize(raw.view(np.uint8), quantization).reshape(256, 512)
    except NotImplementedError:
        with pytest.raises(CheckpointError, match=f"type {kind}, which cannot be read"):
            open_checkpoint(str(replaced))
        return
    found = open_checkpoint(str(replaced)).rows("model.layers.1.mlp.down_proj.weight", 100, 140)
    assert np.array_equal(found, expected[100:140], equal_nan=True)


def _with_tensor(path: Path, target: Path, name: str, kind: gguf.GGMLQuantizationType) -> Path:
    """A copy of a GGUF in which one matrix holds random bytes of a type."""
    reader = gguf.GGUFReader(path)
    writer = _copied_fields(reader, target)
    for tensor in reader.tensors:
        if tensor.name != name:
            writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
            continue
        block, size = gguf.GGML_QUANT_SIZES[kind]
        shape = (int(tensor.shape[1]), int(tensor.shape[0]) // block * size)
        raw = np.random.default_rng(0).integers(0, 64, shape, dtype=np.uint8)
        writer.add_tensor(name, raw, raw_dtype=kind)
    return _written(writer, target)


def _copied_fields(
    reader: gguf.GGUFReader, target: Path, without: tuple[str, ...] = (), **changes: Any
) -> gguf.GGUFWriter:
    arch = reader.fields["general.architecture"].contents()
    writer = gguf.GGUFWriter(target, changes.pop("architecture", arch))
    changes = {key.replace("__", "."): value for key, value in changes.items()}
    for key, field in reader.fields.items():
        kept = not key.startswith("GGUF.") and key != "general.architecture"
        if not kept or key in changes or key.endswith(without):
            continue
        element = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(key, field.contents(), field.types[0], sub_type=element)
    for key, value in changes.items():
        writer.add_key_value(key, value, gguf.GGUFValueType.get_type(value))
    return writer


def _written(writer: gguf.GGUFWriter, target: Path) -> Path:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target


def _copy(
    path: Path,
    target: Path,
    drop: str = "no tensor",
    without: tuple[str, ...] = (),
    more: dict[str, Any] | None = None,
    **changes: Any,
) -> Path:
    """A copy of a GGUF with other metadata, without a tensor, or with more."""
    reader = gguf.GGUFReader(path)
    writer = _copied_fields(reader, target, without, **changes)
    for tensor in reader.tensors:
        if tensor.name != drop:
            writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    for name, values in (more or {}).items():
        writer.add_tensor(name, values)
    return _written(writer, target)


@pytest.mark.parametrize(
    "scaling",
    [
        LLAMA3,
        LLAMA3 | {"factor": 8.0, "original_max_position_embeddings": 64},
        {"rope_type": "linear", "factor": 4.0},
        {
            "rope_type": "yarn",
            "factor": 4.0,
            "original_max_position_embeddings": 128,
            "beta_fast": 32.0,
            "attention_factor": 1.25,
        },
    ],
)
def test_rope_scaling_comes_back(scaling: dict[str, Any], tmp_path: Path) -> None:
    """Llama 3's settings are found from the factors, the others stand in the metadata."""
    folder = make_parent(
        tmp_path / "a", 3, arch="llama", rope_theta=500000.0, rope_scaling=scaling, head_dim=64
    )
    path = to_gguf(folder, tmp_path / "a.gguf")
    config = open_checkpoint(str(path)).config
    assert config["rope_scaling"] == scaling
    assert config["rope_theta"] == 500000.0


def test_unknown_frequency_factors_are_refused(tmp_path: Path) -> None:
    folder = make_parent(tmp_path / "a", 3, arch="llama", head_dim=64, rope_scaling=LLAMA3)
    path = to_gguf(folder, tmp_path / "a.gguf")
    other = _copy(path, tmp_path / "b.gguf", llama__rope__freq_base=1234.0)
    with pytest.raises(CheckpointError, match=r"rope_freqs\.weight holds frequency factors"):
        open_checkpoint(str(other))


def test_adapter_on_a_gguf(tmp_path: Path) -> None:
    """The same rows as the adapter on the folder that the file was made from."""
    folder = make_parent(tmp_path / "a", 3, arch="llama")
    path = to_gguf(folder, tmp_path / "a.gguf")
    adapter = write_adapter(tmp_path / "lora", make_tensors(make_config("llama")))
    one, other = (open_checkpoint(f"{base}+{adapter}") for base in (path, folder))
    for name in other.tensors:
        assert np.array_equal(read(one, name), read(other, name))


def test_folder_with_one_gguf(tmp_path: Path) -> None:
    folder = make_parent(tmp_path / "a", 3)
    (tmp_path / "g").mkdir()
    path = to_gguf(folder, tmp_path / "g" / "a.gguf")
    assert open_checkpoint(str(tmp_path / "g")).tensors == open_checkpoint(str(path)).tensors
    (tmp_path / "g" / "b.gguf").write_bytes(path.read_bytes())
    with pytest.raises(CheckpointError, match="2 GGUF files"):
        open_checkpoint(str(tmp_path / "g"))
    (folder / "a.gguf").write_bytes(path.read_bytes())
    assert open_checkpoint(str(folder)).tensors["lm_head.weight"].dtype == "BF16"


def test_endless_experts_are_refused_at_once(tmp_path: Path) -> None:
    """No name is made for experts that the file has no rows for."""
    path = to_gguf(make_parent(tmp_path / "a", arch="mixtral"), tmp_path / "a.gguf")
    endless = _copy(path, tmp_path / "b.gguf", llama__expert_count=2**31 - 1)
    with pytest.raises(CheckpointError, match="tensors for 2 layers"):
        open_checkpoint(str(endless))


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "another architecture": ({"architecture": "gemma"}, 'unsupported architecture "gemma"'),
    "a part": ({"split__count": 3}, "a part of a split GGUF"),
    "an adapter": ({"general__type": "adapter"}, 'a GGUF of type "adapter"'),
    "no depth": ({"without": (".block_count",)}, "needs `qwen2.block_count`"),
    "depth of another": ({"qwen2__block_count": 3}, r"model\.layers\.2\.\S+ is missing"),
    "less depth": ({"qwen2__block_count": 1}, r"unknown tensor blk\.1\."),
    "endless depth": ({"qwen2__block_count": 2**31 - 1}, "2147483647 layers of 27 tensors"),
    "an end that is a text": ({"tokenizer__ggml__eos_token_id": "x"}, 'eos_token_id is "x"'),
    "an end beyond the rows": (
        {"tokenizer__ggml__eos_token_id": 4000},
        "eos_token_id: 4000 is out of range",
    ),
    "no heads": ({"qwen2__attention__head_count": 0}, "head_count is 0"),
    "heads that do not fit": (
        {"qwen2__attention__head_count": 8},
        r"self_attn\.\S+ has shape",
    ),
    "heads that differ": (
        {"qwen2__attention__head_count_kv": [2, 4]},
        "head_count_kv is a list",
    ),
    "no epsilon": ({"without": ("rms_epsilon",)}, "needs `.*epsilon`"),
    "an unknown scaling": ({"qwen2__rope__scaling__type": "longrope"}, 'rope scaling "longrope"'),
    "no embedding": ({"drop": "token_embd.weight"}, r"token_embd\.weight is missing"),
    "a tensor missing": ({"drop": "blk.1.ffn_up.weight"}, r"1\.mlp\.up_proj\.weight is missing"),
}


@pytest.fixture(scope="module")
def qwen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("qwen")
    return to_gguf(make_parent(folder / "a", 3), folder / "a.gguf")


@pytest.mark.parametrize(
    "changes",
    [
        {"qwen2__attention__head_count_kv": [2, 2]},
        {"qwen2__attention__head_count": [4, 4], "qwen2__feed_forward_length": [96, 96]},
        {"quantize__imatrix__file": "x", "quantize__imatrix__entries_count": 14},
        {"general__name": "a model", "general__file_type": 7, "split__count": 1},
    ],
)
def test_what_says_the_same_in_another_way(
    changes: dict[str, Any], qwen: Path, tmp_path: Path
) -> None:
    """Equal numbers for every layer, and keys that say nothing of the weights."""
    found = open_checkpoint(str(_copy(qwen, tmp_path / "b.gguf", **changes)))
    expected = open_checkpoint(str(qwen))
    assert found.config == expected.config
    assert found.tensors == expected.tensors


@pytest.mark.parametrize("case", REFUSED)
def test_refused_with_its_reason(case: str, qwen: Path, tmp_path: Path) -> None:
    changes, message = REFUSED[case]
    path = _copy(qwen, tmp_path / "b.gguf", **changes)
    with pytest.raises(CheckpointError, match=message) as caught:
        open_checkpoint(str(path))
    assert str(path) in str(caught.value)


@given(data=st.data())
def test_truncated_anywhere_is_refused(qwen: Path, data: st.DataObject) -> None:
    content = qwen.read_bytes()
    path = qwen.with_name("cut.gguf")
    path.write_bytes(content[: data.draw(st.integers(0, len(content) - 64))])
    with pytest.raises(CheckpointError):
        open_checkpoint(str(path))


@given(data=st.data())
def test_damaged_metadata_is_read_or_refused(qwen: Path, data: st.DataObject) -> None:
    """Any bytes in the header: a checkpoint, or a CheckpointError."""
    content = bytearray(qwen.read_bytes())
    header = min(tensor.begin for tensor in read_gguf_header(qwen).tensors.values())
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, 1200) | st.integers(0, header - 1))
        content[place] = data.draw(st.integers(0, 255))
    path = qwen.with_name("damaged.gguf")
    path.write_bytes(content)
    try:
        found = open_checkpoint(str(path))
        assert found.tokenizer is None or found.tokenizer.document["model"]["vocab"]
    except CheckpointError:
        return
    assert found.rows("model.norm.weight", 0, 1).shape == (1, found.layout.hidden)


def test_float16_and_bfloat16_folders_agree_with_their_gguf(tmp_path: Path) -> None:
    """F16 keeps float16 weights exactly."""
    folder = make_parent(tmp_path / "a", 3, arch="llama", dtype=torch.float16)
    found = open_checkpoint(str(to_gguf(folder, tmp_path / "a.gguf", "F16")))
    source = open_checkpoint(str(folder))
    assert found.tensors["model.layers.0.mlp.up_proj.weight"].dtype == "F16"
    for name in source.tensors:
        assert np.array_equal(read(found, name), read(source, name))
