"""Which ggml type each tensor takes in a mix such as Q4_K_M.

The choices are those of llama.cpp's `src/llama-quant.cpp` without an importance matrix, for every
architecture but Falcon and GLM 5, which have rules of their own there.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gguf import GGMLQuantizationType as Type
from gguf import LlamaFileType

from mergesearch.quantize.formats import FLOATS, block_elements

GGUF_EMBEDDING, GGUF_HEAD = "token_embd.weight", "output.weight"


@dataclass(frozen=True)
class ModelTraits:
    """What the types of a file depend on beside its tensors.

    Attributes:
        n_layers: Number of layers.
        n_experts: Number of experts of a layer; 0 where the feed-forward part is dense.
        wide_groups: Whether it is one of the 80-layer models whose few value heads are kept finer.
    """

    n_layers: int
    n_experts: int = 0
    wide_groups: bool = False


def traits_of(arch: str, n_layers: int, n_experts: int, *, grouped: bool) -> ModelTraits:
    """Return the traits of a model (`src/models/llama.cpp` and `qwen2.cpp`).

    Args:
        arch: GGUF's name of the architecture.
        n_layers: Number of layers.
        n_experts: Number of experts of a layer; 0 where the feed-forward part is dense.
        grouped: Whether there are fewer heads of keys and values than heads.
    """
    wide = n_layers == 80 and (arch == "qwen2" or (arch == "llama" and grouped))
    return ModelTraits(n_layers, n_experts, wide)


Rule = Callable[[int, int], bool]
"""Whether a tensor is kept finer, by its place among those of its kind and their number."""


def _never(layer: int, n_layers: int) -> bool:
    return False


@dataclass(frozen=True)
class Mix:
    """A mix: the type of most matrices, and what is kept finer.

    Attributes:
        file_type: Value of `general.file_type`.
        most: Type of every matrix without a rule of its own.
        finer: Type of the projections that `values` and `downs` pick.
        values: Rule for the attention's value projections.
        downs: Rule for the feed-forward down projections.
    """

    file_type: LlamaFileType
    most: Type
    finer: Type = Type.Q6_K
    values: Rule = _never
    downs: Rule = _never

    @property
    def quantizes(self) -> bool:
        """Whether it is not one of the float types."""
        return self.most not in FLOATS


def deserves_more_bits(layer: int, n_layers: int) -> bool:
    """Whether a layer is in the first or last eighth, or every third between them."""
    eighth = n_layers // 8
    return layer < eighth or layer >= 7 * n_layers // 8 or (layer - eighth) % 3 == 2


def _first_four(layer: int, n_layers: int) -> bool:
    return layer < 4


def _first_eighth(layer: int, n_layers: int) -> bool:
    return layer < n_layers // 8


def _medium(file_type: LlamaFileType, most: Type) -> Mix:
    return Mix(file_type, most, Type.Q6_K, deserves_more_bits, deserves_more_bits)


MIXES: dict[str, Mix] = {
    "Q4_0": Mix(LlamaFileType.MOSTLY_Q4_0, Type.Q4_0),
    "Q4_K_S": Mix(
        LlamaFileType.MOSTLY_Q4_K_S, Type.Q4_K, Type.Q5_K, values=_first_four, downs=_first_eighth
    ),
    "Q4_K_M": _medium(LlamaFileType.MOSTLY_Q4_K_M, Type.Q4_K),
    "Q5_K_M": _medium(LlamaFileType.MOSTLY_Q5_K_M, Type.Q5_K),
    "Q6_K": Mix(LlamaFileType.MOSTLY_Q6_K, Type.Q6_K),
    "Q8_0": Mix(LlamaFileType.MOSTLY_Q8_0, Type.Q8_0),
    "F16": Mix(LlamaFileType.MOSTLY_F16, Type.F16),
    "BF16": Mix(LlamaFileType.MOSTLY_BF16, Type.BF16),
    "F32": Mix(LlamaFileType.ALL_F32, Type.F32),
}
"""Mixes by name; `F16`, `BF16` and `F32` are not quantized."""

_FALLBACK = {Type.Q4_K: Type.Q5_0, Type.Q5_K: Type.Q5_1, Type.Q6_K: Type.Q8_0}

_VALUES = ("attn_v.weight", "attn_qkv.weight", "attn_kv_b.weight")
_EMBEDDINGS = (GGUF_EMBEDDING, "per_layer_token_embd.weight")

_PROJECTION = "per_layer_model_proj"  # the converter has it in F16 as any other matrix
# Parts of the names of small or sensitive matrices, which llama.cpp never quantizes.
_KEPT = (
    r"_norm\.weight",
    r"ffn_gate_inp\.weight",
    r"altup",
    r"laurel",
    _PROJECTION,
    r"position_embd",
    r"token_types",
    r"ssm_conv1d",
    r"shortconv\.conv\.weight",
    r"indexer\.[kq]_proj\.weight",
    r"time_mix_(first|decay_w[12]|lerp_fused|[wvag][012])\.weight",
    r"attn_rel_b\.weight",
)


def tensor_types(
    mix: str,
    shapes: Mapping[str, tuple[int, ...]],
    traits: ModelTraits,
    overrides: Mapping[str, Type] | None = None,
) -> dict[str, Type]:
    """Return the type of every tensor of a file in a mix.

    Args:
        mix: Key of `MIXES`.
        shapes: Shape `(cols,)`, `(rows, cols)` or `(experts, rows, cols)` of every tensor of the
            file by its GGUF name; a model without `output.weight` has its head in the embedding.
        traits: Traits of the whole model.
        overrides: Types that take the place of the mix's own, by a regular expression that is
            searched in the name; of several that match the first one counts.
    """
    chosen = MIXES[mix]
    types = dict.fromkeys(shapes, Type.F32)
    seen: Counter[str] = Counter()
    n_values = sum(name.endswith(_VALUES) for name in shapes)
    quantized = [
        name
        for name, shape in shapes.items()
        if is_quantized(name, shape) or (_PROJECTION in name and not chosen.quantizes)
    ]
    for name in sorted(quantized, key=_walking_order):
        if not chosen.quantizes:
            types[name] = chosen.most
            continue
        kind = _override(name, overrides or {})
        if kind is None:
            kind = _type_in_mix(chosen, name, shapes, traits, seen, n_values)
        types[name] = _fitting(kind, shapes[name][-1])
    return types


def is_quantized(name: str, shape: tuple[int, ...]) -> bool:
    """Whether llama.cpp quantizes a tensor of this GGUF name and shape at all."""
    single_row = math.prod(shape[:-1]) == 1
    kept = any(re.search(part, name) for part in _KEPT)
    return not single_row and not kept and name.endswith("weight")


def _override(name: str, overrides: Mapping[str, Type]) -> Type | None:
    """The type of the first override whose expression is found in the name."""
    return next((kind for pattern, kind in overrides.items() if re.search(pattern, name)), None)


def _walking_order(name: str) -> tuple[int, str]:
    """Where a tensor stands when llama.cpp walks a file: by layer, then by name."""
    found = re.match(r"blk\.(\d+)\.", name)
    return int(found[1]) if found else -1, name


def _type_in_mix(
    mix: Mix,
    name: str,
    shapes: Mapping[str, tuple[int, ...]],
    traits: ModelTraits,
    seen: Counter[str],
    n_values: int,
) -> Type:
    """The mix's own choice, counting tensors of a kind in `seen`; overridden ones do not count."""
    eight_experts = traits.n_experts == 8
    if name == GGUF_HEAD or (name in _EMBEDDINGS and GGUF_HEAD not in shapes):
        return Type.Q8_0 if mix.most == Type.Q8_0 else Type.Q6_K
    if name.endswith(_VALUES):
        kind = mix.finer if mix.values(seen["values"], n_values) else mix.most
        seen["values"] += 1
        kind = Type.Q5_K if traits.wide_groups and kind == Type.Q4_K else kind
        return Type.Q8_0 if eight_experts else kind
    if name.endswith("attn_k.weight") and eight_experts:
        return Type.Q8_0
    if name.endswith("attn_output.weight") and eight_experts and mix.most == Type.Q4_K:
        return Type.Q5_K
    if "ffn_down" in name:
        layer = _walking_order(name)[0] if traits.n_experts > 1 else seen["downs"]
        seen["downs"] += 1
        return mix.finer if mix.downs(layer, traits.n_layers) else mix.most
    return mix.most


def _fitting(kind: Type, cols: int) -> Type:
    """The type itself, or the one that llama.cpp takes where its blocks do not fill a row."""
    if cols % block_elements(kind) == 0:
        return kind
    smaller = _FALLBACK.get(kind, kind)
    return smaller if cols % block_elements(smaller) == 0 else Type.F16
