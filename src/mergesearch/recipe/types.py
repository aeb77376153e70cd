"""The data a recipe is made of, and what each merge method takes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

Scalar = float | int | bool | str


@dataclass(frozen=True)
class Filtered:
    """One entry of a filter list: a value for the tensors whose name contains `filter`.

    `filter` is None (or `*`) for the plain entry, which takes every tensor that is left.
    """

    filter: str | None
    value: Scalar | tuple[Scalar, ...]

    def matches(self, tensor_name: str) -> bool:
        """Whether the entry applies to a tensor (its Hugging Face name)."""
        return self.filter is None or self.filter == "*" or self.filter in tensor_name


Parameter = Scalar | tuple[Scalar, ...] | tuple[Filtered, ...]
"""A plain value, a gradient over depth, or a filter list."""


@dataclass(frozen=True)
class MethodSpec:
    """What a merge method takes.

    Attributes:
        per_parent: parameters that a parent may have of its own.
        glob: parameters of the whole merge.
        needs_base: `base_model` must be named.
        exactly: number of parents, None where it is free.
        at_least: smallest number of parents.
        counts_base: a base among the parents counts as one of them.
        adds_base: a base that is named beside the models of a whole-model merge is one more parent.
        on: the switches that are true where nothing is named.
        needed: parameters without a default.
        without_effect: what mergekit reads for it to no effect, and we leave out.
        in_mergekit: mergekit has the method.
    """

    per_parent: tuple[str, ...]
    glob: tuple[str, ...]
    needs_base: bool
    exactly: int | None = None
    at_least: int = 1
    counts_base: bool = False
    adds_base: bool = False
    on: tuple[str, ...] = ()
    needed: tuple[str, ...] = ()
    without_effect: tuple[str, ...] = ()
    in_mergekit: bool = True


def _deltas(*per_parent: str, on: tuple[str, ...] = ()) -> MethodSpec:
    """A member of the task-arithmetic family with what it takes beside a weight."""
    sparse = ("rescale",) if per_parent else ()
    return MethodSpec(
        ("weight", *per_parent),
        ("normalize", *sparse, "lambda", "int8_mask"),
        needs_base=True,
        on=on,
        without_effect=() if per_parent else ("density", "rescale"),
    )


METHOD_SPECS: dict[str, MethodSpec] = {
    "linear": MethodSpec(
        ("weight",), ("normalize",), needs_base=False, counts_base=True, on=("normalize",)
    ),
    "passthrough": MethodSpec(("scale",), (), needs_base=False, exactly=1, counts_base=True),
    "task_arithmetic": _deltas(),
    "ties": _deltas("density", on=("normalize",)),
    "dare_linear": _deltas("density", on=("rescale",)),
    "dare_ties": _deltas("density", on=("rescale",)),
    "della_linear": _deltas("density", "epsilon", on=("rescale",)),
    "della": _deltas("density", "epsilon", on=("normalize", "rescale")),
    "breadcrumbs": _deltas("density", "gamma"),
    "breadcrumbs_ties": _deltas("density", "gamma"),
    "median": MethodSpec((), (), needs_base=False, counts_base=True, in_mergekit=False),
    "geometric_median": MethodSpec((), (), needs_base=False, counts_base=True, in_mergekit=False),
    "sce": MethodSpec((), ("select_topk", "int8_mask"), needs_base=True),
    "model_stock": MethodSpec((), ("filter_wise",), needs_base=True, at_least=2),
    "slerp": MethodSpec((), ("t",), needs_base=True, exactly=1),
    "nuslerp": MethodSpec(
        ("weight",),
        ("nuslerp_flatten", "nuslerp_row_wise"),
        needs_base=False,
        exactly=2,
        on=("normalize", "nuslerp_flatten"),  # normalized always: only the ratio of weights counts
    ),
    "multislerp": MethodSpec(
        ("weight",), ("normalize_weights", "eps"), needs_base=False, on=("normalize_weights",)
    ),
    "karcher": MethodSpec(
        (), ("max_iter", "tol"), needs_base=False, counts_base=True, adds_base=True
    ),
    "ram": MethodSpec((), ("epsilon",), needs_base=True),
    "ramplus_tl": MethodSpec((), ("r", "alpha", "epsilon"), needs_base=True),
    "nearswap": MethodSpec((), ("t",), needs_base=True, exactly=1, needed=("t",)),
    "arcee_fusion": MethodSpec((), (), needs_base=True, exactly=1),
}

QUANT_MIXES = ("Q4_0", "Q4_K_S", "Q4_K_M", "Q5_K_M", "Q6_K", "Q8_0", "F16", "BF16")
UNQUANTIZED = ("F16", "BF16")
TENSOR_TYPES = ("F32", *UNQUANTIZED, "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q4_K", "Q5_K", "Q6_K")
DTYPES = ("float32", "bfloat16", "float16")

_ANY = (-math.inf, math.inf)
_NOT_NEGATIVE = (0.0, math.inf)
RANGES: dict[str, tuple[float, float]] = {
    "density": (0.0, 1.0),
    "epsilon": (0.0, 0.5),
    "gamma": (0.0, 1.0),
    "select_topk": (0.0, 1.0),
    "t": (0.0, 1.0),
    "eps": _NOT_NEGATIVE,
    "tol": _NOT_NEGATIVE,
    "max_iter": _NOT_NEGATIVE,
    "alpha": _NOT_NEGATIVE,
}
"""From the least to the largest value of a parameter, whatever the method but for `OWN_RANGES`."""
OWN_RANGES: dict[tuple[str, str], tuple[float, float]] = {
    ("nearswap", "t"): _NOT_NEGATIVE,
    ("ram", "epsilon"): _NOT_NEGATIVE,
    ("ramplus_tl", "epsilon"): _NOT_NEGATIVE,
}
WHOLE = ("max_iter",)
SWITCHES = (
    "normalize",
    "rescale",
    "int8_mask",
    "filter_wise",
    "nuslerp_flatten",
    "nuslerp_row_wise",
    "normalize_weights",
)


STRAY_PARAMETERS = ("int8_mask", "normalize")
"""Read for any method and in any place where they change nothing, as in published recipes."""


def range_of(method: str, parameter: str) -> tuple[float, float]:
    """Return the least and the largest value of a method's parameter."""
    return OWN_RANGES.get((method, parameter), RANGES.get(parameter, _ANY))


@dataclass(frozen=True)
class Input:
    """One parent's place in a merge: its id, its parameters and, inside a slice, its layers."""

    model: str
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    layer_range: tuple[int, int] | None = None


@dataclass(frozen=True)
class Quantization:
    """How the candidate's GGUF is quantized.

    Attributes:
        mix: one of `QUANT_MIXES`.
        tensors: regular expression, searched in a tensor's GGUF name -> one of `TENSOR_TYPES`, in
            the place of the mix's own type; the first one that matches counts.
    """

    mix: str = "Q4_K_M"
    tensors: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Slice:
    """A run of output layers and the parents' layers that make it; it may have its own base."""

    sources: tuple[Input, ...]
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    base_model: str | None = None


@dataclass(frozen=True)
class TokenSource:
    """Where the embedding and head rows of one token come from in parents that lack it.

    Attributes:
        model: the parent's id, None for zeros.
        token: another token of that parent; the same token where both are None.
        token_id: a row of that parent.
        force: the parents that have the token take these rows too.
    """

    model: str | None
    token: str | None = None
    token_id: int | None = None
    force: bool = False


@dataclass(frozen=True)
class TokenizerChoice:
    """Which tokenizer the result has.

    Attributes:
        source: `base`, `union` or a parent's id.
        tokens: rows of some tokens.
        pad_to_multiple_of: the number of rows becomes a multiple of it.
    """

    source: str = "union"
    tokens: Mapping[str, TokenSource] = field(default_factory=dict)
    pad_to_multiple_of: int | None = None

    def renamed(self, names: Mapping[str, str]) -> TokenizerChoice:
        """Return the choice with parents' ids replaced by `names` where it holds them."""
        return replace(
            self,
            source=names.get(self.source, self.source),
            tokens={
                text: one
                if one.model is None
                else replace(one, model=names.get(one.model, one.model))
                for text, one in self.tokens.items()
            },
        )


def as_filters(value: Parameter) -> tuple[Filtered, ...]:
    """Return a parameter as a filter list, a plain one with a single entry for every tensor."""
    if isinstance(value, tuple):
        entries = tuple(one for one in value if isinstance(one, Filtered))
        if entries:
            return entries
        return (Filtered(None, tuple(one for one in value if not isinstance(one, Filtered))),)
    return (Filtered(None, value),)


def evaluate(setting: Parameter, tensor_name: str, t: float) -> Scalar | None:
    """Return a parameter's value for one tensor, None where no filter applies.

    Gradients are piecewise linear over `t` in [0, 1]; one of switches takes the last switch that
    `t` has reached (`mergekit/config.py`, `evaluate_setting`).
    """
    if not isinstance(setting, tuple):
        return setting
    if isinstance(setting[0], Filtered):
        entries = [one for one in setting if isinstance(one, Filtered)]
        chosen = next((one for one in entries if one.matches(tensor_name)), None)
        return None if chosen is None else evaluate(chosen.value, tensor_name, t)
    points = [one for one in setting if not isinstance(one, Filtered)]
    scaled = t * (len(points) - 1)
    low = int(scaled)
    if isinstance(points[low], bool):
        return points[low]
    high = min(low + 1, len(points) - 1)
    fraction = scaled - low
    return (1.0 - fraction) * float(points[low]) + fraction * float(points[high])
