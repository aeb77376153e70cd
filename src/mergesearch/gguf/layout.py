"""The shape of a model: its sizes, and the names and shapes of the tensors that follow from them.

A layout is built in where the architecture is one of `families`; else it is found, as the tensors
of the files are all that is known of it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import gguf

from mergesearch.errors import CheckpointError
from mergesearch.gguf.families import ARCHITECTURES, EXPERT, Family, Weight, completed
from mergesearch.gguf.names import EMBEDDING, HEAD, layer_of, with_layer

Shape = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Layout(ABC):
    """The shape of a model: its sizes, and the tensors that it has.

    Attributes:
        n_layers: Number of layers.
        hidden: Elements of a row of the token embedding.
        n_heads: Number of attention heads.
        n_kv_heads: Number of heads of keys and values.
        head_dim: Elements of a head.
        vocab_rows: Rows of the token embedding, padding included.
        tied: Whether the head is the token embedding.
        built_in: Whether enough is known of the architecture to change layers and vocabulary.
    """

    n_layers: int
    hidden: int
    n_heads: int
    n_kv_heads: int
    head_dim: int
    vocab_rows: int
    tied: bool
    built_in: ClassVar[bool]

    @property
    @abstractmethod
    def title(self) -> str:
        """Name of the architecture in messages."""

    @abstractmethod
    def tensor_shapes(self) -> dict[str, Shape]:
        """Return the shape `(rows, cols)` or `(cols,)` of every tensor by its name, in order."""

    @property
    def least_tensors(self) -> int:
        """A number of tensors that the layout has at least."""
        return self.n_layers

    @abstractmethod
    def with_layers(self, kinds: Sequence[int]) -> Self:
        """Return the layout of layers that are each like one of its own."""

    @abstractmethod
    def with_vocabulary(self, rows: int, tied: bool) -> Self:
        """Return the layout with another number of rows, or another kind of head.

        Raises:
            CheckpointError: Which tensors have the vocabulary's rows is not known.
        """


@dataclass(frozen=True)
class LinearAttention:
    """Sizes of layers with linear attention.

    Attributes:
        key_heads: Number of heads of keys, and of queries.
        value_heads: Number of heads of values.
        key_dim: Elements of a head of keys.
        value_dim: Elements of a head of values.
        kernel: Tokens that the convolution sees.
    """

    key_heads: int
    value_heads: int
    key_dim: int
    value_dim: int
    kernel: int

    @property
    def values(self) -> int:
        """Elements of all heads of values."""
        return self.value_heads * self.value_dim

    @property
    def sizes(self) -> dict[str, int]:
        """Sizes that make the shapes of tensors, by the names that they go by."""
        return {
            "linear qkv": 2 * self.key_heads * self.key_dim + self.values,
            "linear values": self.values,
            "linear heads": self.value_heads,
            "linear head": self.value_dim,
            "kernel": self.kernel,
            "one": 1,
        }


@dataclass(frozen=True, kw_only=True)
class BuiltInLayout(Layout):
    """The shape of a model of a built-in architecture.

    Attributes:
        family: What is common to all models of the architecture.
        feed_forward: Elements between the projections of the feed-forward part.
        biases: Names of the biases that there are: `qkv`, `output`, `mlp`.
        n_experts: Number of experts of a layer; 0 where the feed-forward part is dense.
        expert_feed_forward: Elements between the projections of an expert.
        kinds: Kind of each layer; empty where all have the same tensors.
        linear: Sizes of linear attention; None where there is none.
    """

    family: Family
    feed_forward: int
    biases: frozenset[str]
    n_experts: int = 0
    expert_feed_forward: int = 0
    kinds: tuple[str, ...] = ()
    linear: LinearAttention | None = None
    built_in = True

    @property
    def title(self) -> str:
        """See `Layout`."""
        return str(self.arch.name.capitalize())

    @property
    def arch(self) -> gguf.MODEL_ARCH:
        """GGUF's architecture."""
        return self.family.arch

    @property
    def sizes(self) -> dict[str, int]:
        """The sizes that make the shapes of a layer's tensors, by the names that they go by."""
        queries, keys = self.n_heads * self.head_dim, self.n_kv_heads * self.head_dim
        return {
            "hidden": self.hidden,
            "inner": self.feed_forward,
            "2 inner": 2 * self.feed_forward,
            "head": self.head_dim,
            "queries": queries,
            "2 queries": 2 * queries,
            "keys": keys,
            "queries + 2 keys": queries + 2 * keys,
            "experts": self.n_experts,
            "expert inner": self.expert_feed_forward,
            **({} if self.linear is None else self.linear.sizes),
        }

    @property
    def least_tensors(self) -> int:
        """See `Layout`."""
        return self.n_layers * max(1, self.n_experts)

    @property
    def wide_groups(self) -> bool:
        """Whether llama.cpp takes it for a 70 B model, whose few value heads it keeps finer."""
        grouped = self.arch == gguf.MODEL_ARCH.LLAMA and self.n_heads != self.n_kv_heads
        return self.n_layers == 80 and (grouped or self.arch == gguf.MODEL_ARCH.QWEN2)

    def tensor_shapes(self) -> dict[str, Shape]:
        """See `Layout`."""
        shapes: dict[str, Shape] = {EMBEDDING: (self.vocab_rows, self.hidden)}
        for layer in range(self.n_layers):
            for name, shape in self._layer_shapes(self.weights(layer)).items():
                shapes[f"model.layers.{layer}.{name}"] = shape
        shapes["model.norm.weight"] = (self.hidden,)
        if not self.tied:
            shapes[HEAD] = (self.vocab_rows, self.hidden)
        return shapes

    def weights(self, layer: int) -> tuple[Weight, ...]:
        """Return the weights of a layer."""
        return self.family.kinds[self.kinds[layer]] if self.kinds else self.family.weights

    def _layer_shapes(self, weights: Iterable[Weight]) -> dict[str, Shape]:
        sizes = self.sizes
        shapes = {}
        for weight in weights:
            shape = tuple(sizes[size] for size in weight.sizes)
            for name in self._names(weight):
                shapes[name if weight.bare else f"{name}.weight"] = shape
                if weight.bias in self.biases:
                    shapes[f"{name}.bias"] = shape[:1]
        return shapes

    def _names(self, weight: Weight) -> list[str]:
        """The names of a weight in a layer, one for each expert where they have it."""
        if EXPERT not in weight.name:
            return [weight.name]
        return [weight.name.replace(EXPERT, str(expert)) for expert in range(self.n_experts)]

    def with_layers(self, kinds: Sequence[int]) -> Self:
        """See `Layout`."""
        own = tuple(self.kinds[min(kind, len(self.kinds) - 1)] for kind in kinds if self.kinds)
        return replace(self, n_layers=len(kinds), kinds=own)

    def with_vocabulary(self, rows: int, tied: bool) -> Self:
        """See `Layout`."""
        return replace(self, vocab_rows=rows, tied=tied)


@dataclass(frozen=True, kw_only=True)
class FoundLayout(Layout):
    """The shape of a model of which nothing is known but its tensors and its `config.json`.

    Sizes that the config does not name are 0.

    Attributes:
        name: Hugging Face's name of the architecture.
        shapes: Shape of every tensor by its Hugging Face name.
    """

    name: str
    shapes: Mapping[str, Shape]
    built_in = False

    @property
    def title(self) -> str:
        """See `Layout`."""
        return self.name

    def tensor_shapes(self) -> dict[str, Shape]:
        """See `Layout`."""
        return dict(self.shapes)

    def with_layers(self, kinds: Sequence[int]) -> Self:
        """See `Layout`."""
        if list(kinds) == list(range(self.n_layers)):
            return self
        by_layer: dict[int | None, dict[str, Shape]] = {}
        for name, shape in self.shapes.items():
            by_layer.setdefault(layer_of(name), {})[name] = shape
        shapes = dict(by_layer.get(None, {}))
        for layer, kind in enumerate(kinds):
            own = by_layer[min(kind, self.n_layers - 1)]
            shapes |= {with_layer(name, layer): shape for name, shape in own.items()}
        return replace(self, n_layers=len(kinds), shapes=shapes)

    def with_vocabulary(self, rows: int, tied: bool) -> Self:
        """See `Layout`."""
        if (rows, tied) == (self.vocab_rows, self.tied):
            return self
        of_tokens = [
            name
            for name, shape in self.shapes.items()
            if layer_of(name) is None and shape[0] == self.vocab_rows
        ]
        if tied != self.tied or not of_tokens or not {EMBEDDING, HEAD} >= set(of_tokens):
            raise CheckpointError(
                f"another vocabulary for {self.title}, which is not built in",
                expected="parents with the same tokens",
            )
        resized = {name: (rows, *self.shapes[name][1:]) for name in of_tokens}
        return replace(self, vocab_rows=rows, shapes={**self.shapes, **resized})


def layout_of(config: Mapping[str, Any], where: str | Path) -> BuiltInLayout:
    """Read the sizes out of a `config.json`.

    Raises:
        CheckpointError: The architecture is not built in, a size is missing or not positive, or
            there are tensors for which llama.cpp has no place.
    """
    name = (config.get("architectures") or [None])[0]
    if name not in ARCHITECTURES:
        raise CheckpointError(
            f"unsupported architecture {name!r}",
            where=where,
            expected=", ".join(ARCHITECTURES),
            fix="convert one parent with llama.cpp and name the file: --template FILE.gguf",
        )
    family = ARCHITECTURES[name]
    config = completed(config, family)
    n_heads = _size(config, "num_attention_heads", where)
    hidden = _size(config, "hidden_size", where)
    attention_bias = bool(config.get("attention_bias", False))
    mlp_bias = bool(config.get("mlp_bias", False))
    tied = bool(config.get("tie_word_embeddings", False))
    for unplaced, what in (
        (attention_bias and not family.biased, "attention_bias"),
        (mlp_bias and not family.biased, "mlp_bias"),
        (family.always_tied and not tied, "a head apart from the embedding"),
        (family.always_apart and tied, "a head that is the embedding"),
    ):
        if unplaced:
            raise CheckpointError(f"llama.cpp's {name} has no place for {what}", where=where)
    _check_heads(config, family, where)
    biases = {
        "qkv": attention_bias if family.qkv_bias is None else family.qkv_bias,
        "output": attention_bias and family.output_bias,
        "mlp": mlp_bias,
    }
    return BuiltInLayout(
        family=family,
        n_layers=_size(config, "num_hidden_layers", where),
        hidden=hidden,
        feed_forward=_size(config, family.inner, where),
        n_heads=n_heads,
        n_kv_heads=_size(config, "num_key_value_heads", where, n_heads),
        head_dim=_size(config, "head_dim", where, hidden // n_heads),
        vocab_rows=_size(config, "vocab_size", where),
        tied=tied,
        biases=frozenset(bias for bias, there in biases.items() if there),
        kinds=_kinds(config, family, where),
        linear=_linear_attention(config, where) if family.kinds else None,
        **_expert_sizes(config, family, where),
    )


def _kinds(config: Mapping[str, Any], family: Family, where: str | Path) -> tuple[str, ...]:
    """The kind of each layer, where they have tensors of their own."""
    if not family.kinds:
        return ()
    every, n_layers = family.window_pattern, _size(config, "num_hidden_layers", where)
    linear, full = family.kinds
    usual = [full if (layer + 1) % every == 0 else linear for layer in range(n_layers)]
    kinds = config.get("layer_types") or usual
    if len(kinds) != n_layers or not set(kinds) <= set(family.kinds):
        raise CheckpointError(
            f"config.json: layer_types is {kinds}",
            where=where,
            expected=f"{n_layers} times one of {', '.join(family.kinds)}",
        )
    return tuple(kinds)


def _linear_attention(config: Mapping[str, Any], where: str | Path) -> LinearAttention:
    return LinearAttention(
        key_heads=_size(config, "linear_num_key_heads", where),
        value_heads=_size(config, "linear_num_value_heads", where),
        key_dim=_size(config, "linear_key_head_dim", where),
        value_dim=_size(config, "linear_value_head_dim", where),
        kernel=_size(config, "linear_conv_kernel_dim", where),
    )


def _check_heads(config: Mapping[str, Any], family: Family, where: str | Path) -> None:
    """Refuse heads and an activation with which llama.cpp does not compute."""
    heads = _size(config, "num_attention_heads", where)
    shared = _size(config, "num_key_value_heads", where, heads)
    if heads % shared:
        raise CheckpointError(
            f"config.json: {heads} attention heads share {shared} heads of keys and values",
            where=where,
            expected="a multiple",
        )
    head_dim = _size(config, "head_dim", where, config["hidden_size"] // heads)
    if head_dim % 2:
        raise CheckpointError(
            f"heads of {head_dim} rows", where=where, expected="pairs, for rotary positions"
        )
    key, *known = family.activation
    if config.get(key, known[0]) not in known:
        raise CheckpointError(
            f"config.json: {key} is {config[key]!r}", where=where, expected=" or ".join(known)
        )


def _expert_sizes(config: Mapping[str, Any], family: Family, where: str | Path) -> dict[str, int]:
    if family.experts is None:
        return {}
    counts = family.experts.counts
    count = next((key for key in counts if config.get(key) is not None), counts[0])
    n_experts, used = _size(config, count, where), _size(config, "num_experts_per_tok", where)
    if used > n_experts:
        raise CheckpointError(f"config.json: {used} of {n_experts} experts are used", where=where)
    return {
        "n_experts": n_experts,
        "expert_feed_forward": _size(config, family.experts.inner, where),
    }


def _size(
    config: Mapping[str, Any], key: str, where: str | Path, default: int | None = None
) -> int:
    value = config.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise CheckpointError(
            f"config.json: {key} is {value!r}", where=where, expected="a positive whole number"
        )
    return value


def found_layout(config: Mapping[str, Any], shapes: Mapping[str, Shape]) -> FoundLayout:
    """Return the layout of a model of which nothing is known but its tensors and its config."""
    layers = [layer for name in shapes if (layer := layer_of(name)) is not None]
    heads, hidden = config.get("num_attention_heads", 0), config.get("hidden_size", 0)
    embedding = _known_name(gguf.MODEL_TENSOR.TOKEN_EMBD, shapes)
    return FoundLayout(
        name=(config.get("architectures") or ["unknown"])[0],
        n_layers=max(layers, default=-1) + 1,
        hidden=hidden,
        n_heads=heads,
        n_kv_heads=config.get("num_key_value_heads", heads),
        head_dim=config.get("head_dim") or hidden // max(1, heads),
        vocab_rows=config.get("vocab_size", 0) if embedding is None else shapes[embedding][0],
        tied=_known_name(gguf.MODEL_TENSOR.OUTPUT, shapes) is None,
        shapes=shapes,
    )


def _known_name(tensor: gguf.MODEL_TENSOR, names: Iterable[str]) -> str | None:
    """The name under which a tensor is found, by those that llama.cpp's converter knows for it."""
    known = {f"{name}.weight" for name in gguf.TensorNameMap.mappings_cfg[tensor]}
    return next((name for name in names if name in known), None)
