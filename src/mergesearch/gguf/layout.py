"""The shape of a model: its sizes, and the names and shapes of the tensors that follow from them.

A layout is built in where the table of `architectures` has the model's; else it is found, as the
tensors of the files are all that is known of it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import gguf

from mergesearch.errors import CheckpointError
from mergesearch.gguf.family import EXPERT, Family, Weight
from mergesearch.gguf.gemma4 import SHARED
from mergesearch.gguf.names import EMBEDDING, HEAD, layer_of, with_layer

Shape = tuple[int, ...]

_EMBEDDING = Weight("embed_tokens", ("vocabulary", "hidden"))
_NORM, _HEAD = Weight("norm", ("hidden",)), Weight("lm_head", ("vocabulary", "hidden"))


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
    """

    n_layers: int
    hidden: int
    n_heads: int
    n_kv_heads: int
    head_dim: int
    vocab_rows: int
    tied: bool

    @property
    @abstractmethod
    def title(self) -> str:
        """Name of the architecture in messages."""

    @abstractmethod
    def tensor_shapes(self) -> dict[str, Shape]:
        """Return the shape `(rows, cols)` or `(cols,)` of every tensor by its name, in order."""

    @abstractmethod
    def with_layers(self, kinds: Sequence[int]) -> Self:
        """Return the layout of layers that are each like one of its own."""

    @abstractmethod
    def with_vocabulary(self, rows: int, tied: bool) -> Self:
        """Return the layout with another number of rows, or another kind of head.

        Raises:
            CheckpointError: Which tensors have the vocabulary's rows is not known.
        """


@dataclass(frozen=True, kw_only=True)
class BuiltInLayout(Layout):
    """The shape of a model of a built-in architecture, whose layers and vocabulary may be changed.

    Attributes:
        family: What is common to all models of the architecture.
        feed_forward: Elements between the projections of the feed-forward part.
        biases: Names of the biases that there are: `qkv`, `output`, `mlp`.
        n_experts: Number of experts of a layer; 0 where the feed-forward part is dense.
        expert_feed_forward: Elements between the projections of an expert.
        kinds: Kind of each layer; empty where all have the same tensors.
        own_sizes: Sizes that not all families have, by the kind of the layers that they are for;
            those of all layers under an empty one.
    """

    family: Family
    feed_forward: int
    biases: frozenset[str]
    n_experts: int = 0
    expert_feed_forward: int = 0
    kinds: tuple[str, ...] = ()
    own_sizes: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """See `Layout`."""
        return str(self.arch.name.capitalize())

    @property
    def arch(self) -> gguf.MODEL_ARCH:
        """GGUF's architecture."""
        return self.family.arch

    def sizes(self, kind: str = "") -> dict[str, int]:
        """Return the sizes that make the shapes of tensors, by the names that they go by.

        Args:
            kind: Kind of a layer; empty where all have the same sizes, and outside the layers.
        """
        queries, keys = self.n_heads * self.head_dim, self.n_kv_heads * self.head_dim
        return {
            "vocabulary": self.vocab_rows,
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
            **self.own_sizes.get("", {}),
            **self.own_sizes.get(kind, {}),
        }

    @property
    def least_tensors(self) -> int:
        """A number of tensors that the model has at least."""
        return self.n_layers * max(1, self.n_experts)

    def tensors(self) -> dict[str, tuple[Weight, Shape]]:
        """Return every tensor's declaration and shape by its name, in order."""
        tensors = self._declared("model.", (_EMBEDDING,), self.sizes())
        for layer in range(self.n_layers):
            tensors |= self._of_layer(layer, self.kinds[layer] if self.kinds else "")
        tensors |= self._declared("model.", (_NORM, *self.family.beside), self.sizes())
        return tensors if self.tied else tensors | self._declared("", (_HEAD,), self.sizes())

    def tensor_shapes(self) -> dict[str, Shape]:
        """See `Layout`."""
        return {name: shape for name, (_, shape) in self.tensors().items()}

    def unused_tensors(self) -> set[str]:
        """Return names under which layers that share others' keys may store some of their own."""
        unused: set[str] = set()
        for layer, kind in enumerate(self.kinds):
            if kind.endswith(SHARED):
                unused |= set(self._of_layer(layer, kind.removesuffix(SHARED)))
        return unused - set(self.tensor_shapes())

    def _of_layer(self, layer: int, kind: str) -> dict[str, tuple[Weight, Shape]]:
        weights = self.family.kinds[self.kinds[layer]] if self.kinds else self.family.weights
        return self._declared(f"model.layers.{layer}.", weights, self.sizes(kind))

    def _declared(
        self, prefix: str, weights: Iterable[Weight], sizes: Mapping[str, int]
    ) -> dict[str, tuple[Weight, Shape]]:
        """Tensors by full names, without those of which a size is 0."""
        tensors = {}
        for weight in weights:
            shape = tuple(sizes[size] for size in weight.sizes)
            for name in self._names(weight) if all(shape) else ():
                full = prefix + name
                tensors[full if weight.bare else f"{full}.weight"] = weight, shape
                if weight.bias in self.biases:
                    tensors[f"{full}.bias"] = weight, shape[:1]
        return tensors

    def _names(self, weight: Weight) -> list[str]:
        """The names of a weight in a layer, one for each expert where they have it."""
        if EXPERT not in weight.name:
            return [weight.name]
        return [weight.name.replace(EXPERT, str(expert)) for expert in range(self.n_experts)]

    @property
    def has_tables_by_layer(self) -> bool:
        """Whether tensors outside the layers hold columns or rows of each layer."""
        return bool(self._declared("model.", self.family.beside, self.sizes()))

    def with_layers(self, kinds: Sequence[int]) -> Self:
        """See `Layout`.

        Raises:
            CheckpointError: Its layers depend on each other, and others are asked for.
        """
        shared = any(kind.endswith(SHARED) for kind in self.kinds)
        if (shared or self.has_tables_by_layer) and list(kinds) != list(range(self.n_layers)):
            reason = "share keys and values" if shared else "have embeddings of their own"
            raise CheckpointError(
                f"other layers for {self.title}, of which some {reason}",
                expected=f"all {self.n_layers} layers, in order",
            )
        own = tuple(self.kinds[min(kind, len(self.kinds) - 1)] for kind in kinds if self.kinds)
        return replace(self, n_layers=len(kinds), kinds=own)

    def with_vocabulary(self, rows: int, tied: bool) -> Self:
        """See `Layout`."""
        if self.has_tables_by_layer and rows != self.vocab_rows:
            raise CheckpointError(
                f"{rows} tokens for {self.title}, which looks up {self.vocab_rows} in each layer",
                expected="the tokens of the base",
            )
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
