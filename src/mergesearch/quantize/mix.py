"""Which ggml type each tensor takes in a mix such as Q4_K_M.

The choices are those of llama.cpp's `src/llama-quant.cpp` without an importance matrix, for dense
models with separate query, key and value tensors.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gguf import GGMLQuantizationType as Type
from gguf import LlamaFileType

from mergesearch.quantize.formats import block_elements

EMBEDDING, HEAD = "token_embd.weight", "output.weight"


@dataclass(frozen=True)
class Model:
    """What the mix depends on beside the tensor: depth, a tied head, and grouped queries.

    `wide_groups` marks the 80-layer models whose few value heads are kept finer: any Qwen2, and a
    Llama whose key-value heads are fewer than its heads.
    """

    n_layers: int
    tied: bool
    wide_groups: bool = False


@dataclass(frozen=True)
class Mix:
    """A mix: the type of most matrices, and what deviates from it.

    Attributes:
        file_type: the value of `general.file_type`.
        most: type of every matrix without a rule of its own.
        head: type of the output head, and of the token embedding where the two are tied.
        finer: GGUF tensor kind -> type of a layer's tensor, given layer and model.
    """

    file_type: LlamaFileType
    most: Type
    head: Type
    finer: dict[str, Callable[[int, Model], Type]]


def deserves_more_bits(layer: int, n_layers: int) -> bool:
    """Whether a layer is in the first or last eighth, or every third between them."""
    eighth = n_layers // 8
    return layer < eighth or layer >= 7 * n_layers // 8 or (layer - eighth) % 3 == 2


def _q4_k_m_value(layer: int, model: Model) -> Type:
    if deserves_more_bits(layer, model.n_layers):
        return Type.Q6_K
    return Type.Q5_K if model.wide_groups else Type.Q4_K


def _q4_k_m_down(layer: int, model: Model) -> Type:
    return Type.Q6_K if deserves_more_bits(layer, model.n_layers) else Type.Q4_K


MIXES: dict[str, Mix] = {
    "Q4_K_M": Mix(
        LlamaFileType.MOSTLY_Q4_K_M,
        Type.Q4_K,
        Type.Q6_K,
        {"attn_v": _q4_k_m_value, "ffn_down": _q4_k_m_down},
    ),
    "Q4_0": Mix(LlamaFileType.MOSTLY_Q4_0, Type.Q4_0, Type.Q6_K, {}),
    "Q8_0": Mix(LlamaFileType.MOSTLY_Q8_0, Type.Q8_0, Type.Q8_0, {}),
    "F16": Mix(LlamaFileType.MOSTLY_F16, Type.F16, Type.F16, {}),
    "F32": Mix(LlamaFileType.ALL_F32, Type.F32, Type.F32, {}),
}
"""By name; `F16` and `F32` are not quantized."""

_FALLBACK = {Type.Q4_K: Type.Q5_0, Type.Q5_K: Type.Q5_1, Type.Q6_K: Type.Q8_0}


def tensor_type(
    mix: str, name: str, shape: tuple[int, ...], layer: int | None, model: Model
) -> Type:
    """Return the type of a tensor in a mix.

    Args:
        mix: a key of `MIXES`.
        name: the tensor's GGUF name.
        shape: `(rows, cols)` or `(cols,)`.
        layer: index of its layer, None outside the layers.
        model: the whole model's traits.
    """
    single_row = len(shape) < 2 or shape[0] == 1
    if single_row or name.endswith("_norm.weight") or not name.endswith("weight"):
        return Type.F32
    chosen = MIXES[mix]
    cols = shape[-1]
    if name == HEAD or (name == EMBEDDING and model.tied):
        # A K-quant is preferred for the head, but the question asked is whether the mix's own
        # blocks fit: with 32-wide blocks that fit, the head may still have to fall back.
        kind = chosen.head if cols % block_elements(chosen.most) == 0 else Type.Q8_0
        kind = chosen.most if chosen.most in (Type.F16, Type.F32) else kind
    else:
        rule = chosen.finer.get(name.split(".")[-2])
        kind = chosen.most if rule is None or layer is None else rule(layer, model)
    return _fitting(kind, cols)


def _fitting(kind: Type, cols: int) -> Type:
    """The type itself, or the one that llama.cpp takes where its blocks do not fill a row."""
    if cols % block_elements(kind) == 0:
        return kind
    smaller = _FALLBACK.get(kind, kind)
    return smaller if cols % block_elements(smaller) == 0 else Type.F16
