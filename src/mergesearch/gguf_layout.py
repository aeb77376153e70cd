"""Between Hugging Face checkpoints and GGUF: tensors, their names and rows, metadata.

The names, the order of rows and the metadata match what llama.cpp's `convert_hf_to_gguf.py`
writes (`conversion/base.py`, `conversion/llama.py`, `conversion/qwen.py`), without paths and dates.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt

from mergesearch.errors import CheckpointError

GENERAL_NAME = "mergesearch candidate"

ARCHITECTURES = {
    "LlamaForCausalLM": gguf.MODEL_ARCH.LLAMA,
    "MistralForCausalLM": gguf.MODEL_ARCH.LLAMA,
    "Qwen2ForCausalLM": gguf.MODEL_ARCH.QWEN2,
}

EMBEDDING = "model.embed_tokens.weight"
HEAD = "lm_head.weight"


@dataclass(frozen=True)
class Layout:
    """The shape of a model: its architecture and the sizes that fix every tensor.

    Attributes:
        arch: GGUF's name of the architecture.
        vocab_rows: rows of the token embedding, padding included.
        tied: the head is the token embedding.
        qkv_bias: query, key and value projections have a bias.
        output_bias: the attention's output projection has one.
        mlp_bias: the feed-forward projections have one.
    """

    arch: gguf.MODEL_ARCH
    n_layers: int
    hidden: int
    feed_forward: int
    n_heads: int
    n_kv_heads: int
    head_dim: int
    vocab_rows: int
    tied: bool
    qkv_bias: bool
    output_bias: bool
    mlp_bias: bool

    @property
    def permuted(self) -> bool:
        """Whether query and key rows are stored in another order in GGUF."""
        return bool(self.arch == gguf.MODEL_ARCH.LLAMA)

    @property
    def wide_groups(self) -> bool:
        """Whether llama.cpp takes it for a 70 B model, whose few value heads it keeps finer."""
        grouped = self.arch == gguf.MODEL_ARCH.LLAMA and self.n_heads != self.n_kv_heads
        return self.n_layers == 80 and (grouped or self.arch == gguf.MODEL_ARCH.QWEN2)


def layout_of(config: Mapping[str, Any], where: str | Path) -> Layout:
    """Read the sizes out of a `config.json`.

    Raises:
        CheckpointError: an unsupported architecture, or a size that is missing or not positive.
    """
    name = (config.get("architectures") or [None])[0]
    if name not in ARCHITECTURES:
        raise CheckpointError(
            f"unsupported architecture {name!r}",
            where=where,
            expected=", ".join(ARCHITECTURES),
        )
    qwen = name == "Qwen2ForCausalLM"
    n_heads = _size(config, "num_attention_heads", where)
    hidden = _size(config, "hidden_size", where)
    biased = bool(config.get("attention_bias", False))
    return Layout(
        arch=ARCHITECTURES[name],
        n_layers=_size(config, "num_hidden_layers", where),
        hidden=hidden,
        feed_forward=_size(config, "intermediate_size", where),
        n_heads=n_heads,
        n_kv_heads=_size(config, "num_key_value_heads", where, n_heads),
        head_dim=_size(config, "head_dim", where, hidden // n_heads),
        vocab_rows=_size(config, "vocab_size", where),
        tied=bool(config.get("tie_word_embeddings", False)),
        qkv_bias=qwen or biased,
        output_bias=biased and not qwen,
        mlp_bias=bool(config.get("mlp_bias", False)),
    )


def _size(
    config: Mapping[str, Any], key: str, where: str | Path, default: int | None = None
) -> int:
    value = config.get(key)
    value = default if value is None else value
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise CheckpointError(
            f"config.json: {key} is {value!r}", where=where, expected="a positive whole number"
        )
    return value


def tensor_shapes(layout: Layout) -> dict[str, tuple[int, ...]]:
    """Return every tensor's Hugging Face name and shape `(rows, cols)` or `(cols,)`, in order."""
    shapes: dict[str, tuple[int, ...]] = {EMBEDDING: (layout.vocab_rows, layout.hidden)}
    for layer in range(layout.n_layers):
        for name, shape in _layer_shapes(layout).items():
            shapes[f"model.layers.{layer}.{name}"] = shape
    shapes["model.norm.weight"] = (layout.hidden,)
    if not layout.tied:
        shapes[HEAD] = (layout.vocab_rows, layout.hidden)
    return shapes


def _layer_shapes(layout: Layout) -> dict[str, tuple[int, ...]]:
    hidden, inner = layout.hidden, layout.feed_forward
    queries, keys = layout.n_heads * layout.head_dim, layout.n_kv_heads * layout.head_dim
    matrices = {
        "self_attn.q_proj": (queries, hidden, layout.qkv_bias),
        "self_attn.k_proj": (keys, hidden, layout.qkv_bias),
        "self_attn.v_proj": (keys, hidden, layout.qkv_bias),
        "self_attn.o_proj": (hidden, queries, layout.output_bias),
        "mlp.gate_proj": (inner, hidden, layout.mlp_bias),
        "mlp.up_proj": (inner, hidden, layout.mlp_bias),
        "mlp.down_proj": (hidden, inner, layout.mlp_bias),
    }
    shapes: dict[str, tuple[int, ...]] = {"input_layernorm.weight": (hidden,)}
    for name, (rows, cols, biased) in matrices.items():
        shapes[f"{name}.weight"] = (rows, cols)
        if biased:
            shapes[f"{name}.bias"] = (rows,)
    shapes["post_attention_layernorm.weight"] = (hidden,)
    return shapes


def layer_of(name: str) -> int | None:
    """Return the layer index in a tensor's Hugging Face or GGUF name, None outside the layers."""
    parts = name.split(".")
    return next((int(part) for part in parts[1:-1] if part.isdecimal()), None)


def gguf_names(layout: Layout) -> dict[str, str]:
    """Return the GGUF name of every tensor, keyed by its Hugging Face name."""
    names = gguf.get_tensor_name_map(layout.arch, layout.n_layers)
    found = {}
    for name in tensor_shapes(layout):
        mapped = names.get_name(name, try_suffixes=(".weight", ".bias"))
        assert mapped is not None, name
        found[name] = mapped
    return found


def rows_together(layout: Layout, name: str) -> int:
    """Return how many rows of a tensor must be converted at once (those of one permuted head)."""
    permuted = layout.permuted and ".self_attn." in name and ("q_proj" in name or "k_proj" in name)
    return layout.head_dim if permuted else 1


def to_gguf_rows(block: npt.NDArray[np.float32], together: int) -> npt.NDArray[np.float32]:
    """Reorder rows of whole heads from Hugging Face's rotary order to llama.cpp's.

    The first half of a head's rows goes to its even rows, the second half to its odd ones
    (`conversion/llama.py`, `LlamaModel.permute`).

    Args:
        block: shape `(k * together, cols)`, or `(1, k * together)` for a bias.
        together: rows of one head; 1 where nothing is reordered.
    """
    if together == 1:
        return block
    bias = block.shape[0] == 1
    rows = block.reshape(-1, 1) if bias else block
    heads = rows.reshape(-1, 2, together // 2, rows.shape[1]).swapaxes(1, 2)
    return np.ascontiguousarray(heads.reshape(block.shape))


def rope_parameters(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the rotary settings of a `config.json`, old keys and new ones read alike."""
    found = dict(config.get("rope_parameters") or config.get("rope_scaling") or {})
    found = dict(found.get("full_attention", found))
    if "rope_type" not in found and "type" in found:
        found["rope_type"] = found["type"]
    for key in ("rope_theta", "original_max_position_embeddings"):
        if key not in found and config.get(key) is not None:
            found[key] = config[key]
    return found


def rope_factors(layout: Layout, config: Mapping[str, Any]) -> npt.NDArray[np.float32] | None:
    """Return the tensor `rope_freqs.weight`, shape `(head_dim / 2,)`, of Llama 3's rope scaling.

    Wavelengths up to `original / high_freq_factor` keep their frequency, those beyond
    `original / low_freq_factor` are slowed by `factor`, with a smooth passage between
    (`conversion/llama.py`, `generate_extra_tensors`). None where the model has no such scaling.
    """
    rope = rope_parameters(config)
    llama3 = str(rope.get("rope_type", "")).lower() == "llama3"
    if layout.arch != gguf.MODEL_ARCH.LLAMA or not llama3:
        return None
    factor = rope.get("factor", 8.0)
    low, high = rope.get("low_freq_factor", 1.0), rope.get("high_freq_factor", 4.0)
    original = rope.get("original_max_position_embeddings", 8192)
    exponents = np.arange(0, layout.head_dim, 2, dtype=np.float32) / np.float32(layout.head_dim)
    theta = np.float32(rope.get("rope_theta", 10000.0))
    wavelengths = np.float32(2 * math.pi) / (np.float32(1.0) / np.power(theta, exponents))
    smooth = (np.float32(original) / wavelengths - np.float32(low)) / np.float32(high - low)
    factors = 1 / ((1 - smooth) / np.float32(factor) + smooth)
    factors[wavelengths < original / high] = 1.0
    factors[wavelengths > original / low] = factor
    return factors.astype(np.float32)


def add_model_metadata(
    writer: gguf.GGUFWriter, layout: Layout, config: Mapping[str, Any], folder: Path
) -> None:
    """Add everything but the vocabulary and the file type to a GGUF.

    Args:
        writer: takes the keys, in this order.
        layout: the model's sizes.
        config: its `config.json`.
        folder: where a `generation_config.json` with sampling defaults may lie.
    """
    writer.add_type(gguf.GGUFType.MODEL)
    _add_sampling(writer, folder / "generation_config.json")
    writer.add_name(GENERAL_NAME)
    count = sum(math.prod(shape) for shape in tensor_shapes(layout).values())
    factors = rope_factors(layout, config)
    count += 0 if factors is None else factors.size
    writer.add_size_label(gguf.size_label(count, count, 0, 0))
    writer.add_block_count(layout.n_layers)
    llama = layout.arch == gguf.MODEL_ARCH.LLAMA
    writer.add_context_length(config.get("max_position_embeddings") or (2048 if llama else 32768))
    writer.add_embedding_length(layout.hidden)
    writer.add_feed_forward_length(layout.feed_forward)
    writer.add_head_count(layout.n_heads)
    writer.add_head_count_kv(layout.n_kv_heads)
    _add_rope(writer, rope_parameters(config))
    writer.add_layer_norm_rms_eps(config.get("rms_norm_eps") or 1e-6)
    if llama or config.get("head_dim") is not None:
        writer.add_key_length(layout.head_dim)
        writer.add_value_length(layout.head_dim)
    if llama:
        writer.add_vocab_size(layout.vocab_rows)
        writer.add_rope_dimension_count(layout.head_dim)


_ROPE_TYPES = {"linear": gguf.RopeScalingType.LINEAR, "yarn": gguf.RopeScalingType.YARN}
_SAMPLING = {
    "top_k": "add_sampling_top_k",
    "top_p": "add_sampling_top_p",
    "min_p": "add_sampling_min_p",
    "temperature": "add_sampling_temp",
    "penalty_repeat": "add_sampling_penalty_repeat",
}


def _add_rope(writer: gguf.GGUFWriter, rope: Mapping[str, Any]) -> None:
    kind = _ROPE_TYPES.get(str(rope.get("rope_type")))
    if kind is not None and rope.get("factor") is not None:
        writer.add_rope_scaling_type(kind)
        writer.add_rope_scaling_factor(rope["factor"])
        if kind == gguf.RopeScalingType.YARN:
            _add_yarn(writer, rope)
    writer.add_rope_freq_base(rope.get("rope_theta", 10000.0))


def _add_yarn(writer: gguf.GGUFWriter, rope: Mapping[str, Any]) -> None:
    if rope.get("original_max_position_embeddings") is not None:
        writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
    attention = rope.get("attention_factor", rope.get("attn_factor"))
    for value, add in (
        (rope.get("extrapolation_factor"), writer.add_rope_scaling_yarn_ext_factor),
        (attention, writer.add_rope_scaling_yarn_attn_factor),
        (rope.get("beta_fast"), writer.add_rope_scaling_yarn_beta_fast),
        (rope.get("beta_slow"), writer.add_rope_scaling_yarn_beta_slow),
    ):
        if value is not None:
            add(value)


def _add_sampling(writer: gguf.GGUFWriter, file: Path) -> None:
    if not file.is_file():
        return
    try:
        settings = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f"not JSON: {error}", where=file) from error
    for key, method in _SAMPLING.items():
        if settings.get(key) is not None:
            getattr(writer, method)(settings[key])
