"""The data a recipe is made of."""

from __future__ import annotations

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


ParameterValue = Scalar | tuple[Scalar, ...] | tuple[Filtered, ...]
"""A plain value, a gradient over depth, or a filter list."""


STRAY_PARAMETERS = ("int8_mask", "normalize")
"""Read for any method and in any place where they change nothing, as in published recipes."""


@dataclass(frozen=True)
class Input:
    """One parent's place in a merge: its id, its parameters and, inside a slice, its layers."""

    model: str
    parameters: Mapping[str, ParameterValue] = field(default_factory=dict)
    layer_range: tuple[int, int] | None = None


@dataclass(frozen=True)
class Quantization:
    """How the candidate's GGUF is quantized.

    Attributes:
        mix: Key of `quantize.MIXES`.
        tensors: Name of a ggml type by regular expression; a tensor whose GGUF name holds a match
            of one takes its type in place of the mix's own; of several the first one counts.
    """

    mix: str = "Q4_K_M"
    tensors: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Slice:
    """A run of output layers and the parents' layers that make it; it may have its own base."""

    sources: tuple[Input, ...]
    parameters: Mapping[str, ParameterValue] = field(default_factory=dict)
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


def as_filters(value: ParameterValue) -> tuple[Filtered, ...]:
    """Return a parameter as a filter list, a plain one with a single entry for every tensor."""
    if isinstance(value, tuple):
        entries = tuple(one for one in value if isinstance(one, Filtered))
        if entries:
            return entries
        return (Filtered(None, tuple(one for one in value if not isinstance(one, Filtered))),)
    return (Filtered(None, value),)


def evaluate(setting: ParameterValue, tensor_name: str, t: float) -> Scalar | None:
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
