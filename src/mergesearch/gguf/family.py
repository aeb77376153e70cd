"""The columns of the table of architectures: what is said of each that is built in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import gguf

from mergesearch.gguf.fields import Fields
from mergesearch.gguf.pack import Metadata

AddKeys = Callable[[Metadata, Any, Mapping[str, Any]], None]
"""Takes the metadata of a GGUF to add to, the `BuiltInLayout` and the completed config.json."""
Settings = Callable[[Fields, Mapping[str, Any], "Family"], dict[str, Any]]
"""Takes the metadata of a GGUF, and the config.json as far as it is known."""

NOT_BUILT_IN = "convert one parent with llama.cpp and name the file: --template FILE.gguf"
"""What to do about an architecture that is not built in."""

STRETCHED = ("linear", "yarn")
"""Types of rotary positions that stretch the context by a factor."""
ROPE_TYPES = ("default", "dynamic", *STRETCHED)  # dynamic: as default, up to the model's context
"""Types of rotary positions that llama.cpp computes in most architectures."""


@dataclass(frozen=True)
class Weight:
    """A tensor of a layer, and the bias that may go with it.

    Attributes:
        name: Hugging Face name within the layer, without `.weight`; it holds `{expert}` where each
            expert has one.
        sizes: Names of the sizes that make its shape; see `BuiltInLayout.sizes`.
        bias: Name of the biases that it belongs to, `qkv`, `output` or `mlp`; empty where it never
            has one.
        parts: Names of the tensors that GGUF makes of equal parts of its rows; empty where it stays
            one.
        bare: Whether its name ends without `.weight`.
        values: Where the heads of values of linear attention are: in its last `rows`, or in its
            `columns`; empty where it has none.
    """

    name: str
    sizes: tuple[str, ...]
    bias: str = ""
    parts: tuple[str, ...] = ()
    bare: bool = False
    values: str = ""


EXPERT = "{expert}"
"""Stands for the number of an expert in the name of a weight."""


@dataclass(frozen=True)
class Experts:
    """Where a config.json says how many experts a layer has.

    Attributes:
        inner: Key of the elements between an expert's projections.
        counts: Keys of the number of experts, as old and new versions of `transformers` write it.
    """

    inner: str
    counts: tuple[str, ...] = ("num_local_experts", "num_experts")


@dataclass(frozen=True)
class Family:
    """What an architecture's layers hold, how GGUF stores them, and what its metadata say.

    Attributes:
        arch: GGUF's architecture.
        model_type: Hugging Face's name of the family, in a config.json of a text model.
        weights: Tensors of a layer, in the order of the file.
        kinds: Tensors of a layer by its kind: the two of `layer_types` first, the one with a window
            or linear attention before the one that attends to everything; empty where all have the
            same.
        beside: Tensors outside the layers, beside embedding, last norm and head. A tensor of a
            family of which a size is 0 is not there.
        shares_keys: Whether heads differ by the kind of a layer, and the last layers may share keys
            and values (Gemma 4).
        qkv_bias: Whether queries, keys and values have biases; None where `attention_bias` says so.
        output_bias: Whether the output projection follows `attention_bias` too.
        biased: Whether llama.cpp has a place for the biases that `attention_bias` asks for.
        permuted: Whether rows of query and key heads are stored in another order.
        norm_shift: Number that is added to the weights of norms.
        always_tied: Whether llama.cpp knows no head apart from the embedding.
        always_apart: Whether llama.cpp needs a head apart from the embedding.
        unrotated_every: Number of layers of which the last one knows no positions; 0 for none.
        head_sizes: Whether the head's length is written even where config.json does not name it.
        window_pattern: Number of layers of which the last one attends to everything, the others to
            a window; 0 where llama.cpp has no windows.
        scaled_by_hidden: Number of layers that makes llama.cpp scale attention by the hidden size
            per head instead of the head's length; 0 where it never does.
        experts: Where the number of experts is said; None where the feed-forward part is dense.
        inner: Key of the elements between the projections of a dense feed-forward part.
        activation: Key of the activation in a config.json, and the names that it may have there.
        spaced_tokenizer: GGUF's kind of a tokenizer in which spaces are letters and bytes tokens.
        rope_types: Types of rotary positions that llama.cpp computes.
        rope_keys: Whether the base and scaling of rotary positions are written as for most.
        add_keys: Function that adds the keys of a GGUF that not all families have.
        settings: Function that returns the settings of a config.json that not all families have.
        numbers: GGUF's key of numbers that a config.json may set, by the key there.
        fixed: Settings that llama.cpp computes with whatever the config.json says.
        defaults: Values that `transformers` takes where a config.json is silent.
    """

    arch: gguf.MODEL_ARCH
    model_type: str
    weights: tuple[Weight, ...] = ()
    kinds: Mapping[str, tuple[Weight, ...]] = field(default_factory=dict)
    beside: tuple[Weight, ...] = ()
    shares_keys: bool = False
    qkv_bias: bool | None = None
    output_bias: bool = True
    biased: bool = True
    permuted: bool = False
    norm_shift: float = 0.0
    always_tied: bool = False
    always_apart: bool = False
    unrotated_every: int = 0
    head_sizes: bool = True
    window_pattern: int = 0
    scaled_by_hidden: int = 0
    experts: Experts | None = None
    inner: str = "intermediate_size"
    activation: tuple[str, ...] = ("hidden_act", "silu", "swish")
    spaced_tokenizer: str = "llama"
    rope_types: tuple[str, ...] = ROPE_TYPES
    rope_keys: bool = True
    add_keys: AddKeys | None = None
    settings: Settings | None = None
    numbers: Mapping[str, str] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)

    def attending_to_all(self, n_layers: int) -> list[bool]:
        """Return which layers attend to everything, where a config.json leaves it open."""
        return [(layer + 1) % self.window_pattern == 0 for layer in range(n_layers)]


_NULLABLE = (
    *("attn_logit_softcapping", "final_logit_softcapping", "sliding_window"),
    "hidden_size_per_layer_input",
)


def completed(config: Mapping[str, Any], family: Family) -> dict[str, Any]:
    """Return a config.json with the family's defaults where it is silent or says null.

    A null that `transformers` reads as "none" (soft caps, windows, ...) stays where it is.
    """
    given = {key: value for key, value in config.items() if value is not None or key in _NULLABLE}
    return {**family.defaults, **given}
