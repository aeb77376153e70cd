"""The shape of a model: its sizes, the tensors that follow from them, and their names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf

from mergesearch.errors import CheckpointError
from mergesearch.gguf.families import ARCHITECTURES, FAMILIES, Family, completed
from mergesearch.gguf.rows import Part, RowChange, StoredTensor

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
        found: where the architecture is not built in, every tensor's Hugging Face name and shape
            as the files hold them; the sizes say nothing then, and `arch` is Hugging Face's name.
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
    found: Mapping[str, tuple[int, ...]] | None = None

    @property
    def title(self) -> str:
        """The architecture's name in messages."""
        return str(self.arch if self.found is not None else self.arch.name.capitalize())

    @property
    def family(self) -> Family:
        """What is common to all models of the architecture."""
        return FAMILIES[self.arch]

    @property
    def wide_groups(self) -> bool:
        """Whether llama.cpp takes it for a 70 B model, whose few value heads it keeps finer."""
        grouped = self.arch == gguf.MODEL_ARCH.LLAMA and self.n_heads != self.n_kv_heads
        return self.n_layers == 80 and (grouped or self.arch == gguf.MODEL_ARCH.QWEN2)


def layout_of(config: Mapping[str, Any], where: str | Path) -> Layout:
    """Read the sizes out of a `config.json`.

    Raises:
        CheckpointError: an unsupported architecture, a size that is missing or not positive, or
            tensors for which llama.cpp has no place.
    """
    name = (config.get("architectures") or [None])[0]
    if name not in ARCHITECTURES:
        raise CheckpointError(
            f"unsupported architecture {name!r}",
            where=where,
            expected=", ".join(ARCHITECTURES),
            fix="convert one parent with llama.cpp and name the file: --template FILE.gguf",
        )
    family = FAMILIES[ARCHITECTURES[name]]
    config = completed(config, family)
    n_heads = _size(config, "num_attention_heads", where)
    hidden = _size(config, "hidden_size", where)
    biased = bool(config.get("attention_bias", False))
    mlp_bias = bool(config.get("mlp_bias", False))
    tied = bool(config.get("tie_word_embeddings", False))
    for unplaced, what in (
        (biased and not family.biased, "attention_bias"),
        (mlp_bias and not family.biased, "mlp_bias"),
        (family.always_tied and not tied, "a head apart from the embedding"),
    ):
        if unplaced:
            raise CheckpointError(f"llama.cpp's {name} has no place for {what}", where=where)
    return Layout(
        arch=ARCHITECTURES[name],
        n_layers=_size(config, "num_hidden_layers", where),
        hidden=hidden,
        feed_forward=_size(config, "intermediate_size", where),
        n_heads=n_heads,
        n_kv_heads=_size(config, "num_key_value_heads", where, n_heads),
        head_dim=_size(config, "head_dim", where, hidden // n_heads),
        vocab_rows=_size(config, "vocab_size", where),
        tied=tied,
        qkv_bias=biased if family.qkv_bias is None else family.qkv_bias,
        output_bias=biased and family.output_bias,
        mlp_bias=mlp_bias,
    )


def _size(
    config: Mapping[str, Any], key: str, where: str | Path, default: int | None = None
) -> int:
    value = config.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise CheckpointError(
            f"config.json: {key} is {value!r}", where=where, expected="a positive whole number"
        )
    return value


def found_layout(config: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> Layout:
    """Return the layout of a model that nothing is known of but its tensors."""
    layers = [layer for name in shapes if (layer := layer_of(name)) is not None]
    return Layout(
        arch=(config.get("architectures") or ["unknown"])[0],
        n_layers=max(layers, default=-1) + 1,
        hidden=0,
        feed_forward=0,
        n_heads=0,
        n_kv_heads=0,
        head_dim=0,
        vocab_rows=0,
        tied=False,
        qkv_bias=False,
        output_bias=False,
        mlp_bias=False,
        found=shapes,
    )


def tensor_shapes(layout: Layout) -> dict[str, tuple[int, ...]]:
    """Return every tensor's Hugging Face name and shape `(rows, cols)` or `(cols,)`, in order."""
    if layout.found is not None:
        return dict(layout.found)
    shapes: dict[str, tuple[int, ...]] = {EMBEDDING: (layout.vocab_rows, layout.hidden)}
    for layer in range(layout.n_layers):
        for name, shape in _layer_shapes(layout).items():
            shapes[f"model.layers.{layer}.{name}"] = shape
    shapes["model.norm.weight"] = (layout.hidden,)
    if not layout.tied:
        shapes[HEAD] = (layout.vocab_rows, layout.hidden)
    return shapes


def _layer_shapes(layout: Layout) -> dict[str, tuple[int, ...]]:
    first, *others = (f"{norm}.weight" for norm in layout.family.norms)
    shapes: dict[str, tuple[int, ...]] = {first: (layout.hidden,)}
    for name, (rows, cols, biased) in _matrices(layout).items():
        shapes[f"{name}.weight"] = (rows, cols)
        if biased:
            shapes[f"{name}.bias"] = (rows,)
    if layout.family.head_norms:
        shapes |= {f"self_attn.{one}_norm.weight": (layout.head_dim,) for one in "qk"}
    return shapes | dict.fromkeys(others, (layout.hidden,))


def _matrices(layout: Layout) -> dict[str, tuple[int, int, bool]]:
    """Rows and columns of a layer's matrices, and whether they have a bias."""
    hidden, inner = layout.hidden, layout.feed_forward
    queries, keys = layout.n_heads * layout.head_dim, layout.n_kv_heads * layout.head_dim
    output = {"self_attn.o_proj": (hidden, queries, layout.output_bias)}
    down = {"mlp.down_proj": (hidden, inner, layout.mlp_bias)}
    if layout.family.fused:
        qkv = {"self_attn.qkv_proj": (queries + 2 * keys, hidden, layout.qkv_bias)}
        return qkv | output | {"mlp.gate_up_proj": (2 * inner, hidden, layout.mlp_bias)} | down
    return {
        "self_attn.q_proj": (queries, hidden, layout.qkv_bias),
        "self_attn.k_proj": (keys, hidden, layout.qkv_bias),
        "self_attn.v_proj": (keys, hidden, layout.qkv_bias),
        **output,
        "mlp.gate_proj": (inner, hidden, layout.mlp_bias),
        "mlp.up_proj": (inner, hidden, layout.mlp_bias),
        **down,
    }


def layer_of(name: str) -> int | None:
    """Return the layer index in a tensor's Hugging Face or GGUF name, None outside the layers."""
    parts = name.split(".")
    return next((int(part) for part in parts[1:-1] if part.isdecimal()), None)


def with_layer(name: str, layer: int) -> str:
    """Return a tensor's name with another layer in the place of its own."""
    parts = name.split(".")
    place = next(at for at, part in enumerate(parts) if at and part.isdecimal())
    return ".".join([*parts[:place], str(layer), *parts[place + 1 :]])


def gguf_names(layout: Layout) -> dict[str, str]:
    """Return the GGUF name of every tensor, keyed by its Hugging Face name."""
    names = gguf.get_tensor_name_map(layout.arch, layout.n_layers)
    found = {}
    for name in tensor_shapes(layout):
        mapped = names.get_name(name, try_suffixes=(".weight", ".bias"))
        assert mapped is not None, name
        found[name] = mapped
    return found


def row_change(layout: Layout, name: str) -> RowChange:
    """Return what the converter does to the rows of a tensor, by its Hugging Face name."""
    family = layout.family
    if name.endswith("norm.weight"):
        return RowChange(added=family.norm_shift)
    turned = ".self_attn." in name and ("q_proj" in name or "k_proj" in name)
    return RowChange(together=layout.head_dim if family.permuted and turned else 1)


def gguf_tensors(layout: Layout) -> list[StoredTensor]:
    """Return every tensor of the GGUF in order, with the rows that it is made of."""
    names = gguf_names(layout)
    return [
        StoredTensor(names[name], shape, (Part(name, 0, shape[0], row_change(layout, name)),))
        for name, shape in tensor_shapes(layout).items()
    ]
