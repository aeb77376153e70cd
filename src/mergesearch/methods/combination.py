"""Merges that the kernels compute, straight from stored rows to the type that is wanted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from gguf import GGMLQuantizationType as Type

from mergesearch._kernels import kernels
from mergesearch.methods.blocks import Block, Float
from mergesearch.methods.sparsify import ALL, Cut
from mergesearch.quantize import empty_blocks, quantize_rows


@dataclass(frozen=True)
class Combination:
    """A weighted sum of a block's inputs, or of their deltas on the base; not yet computed.

    Float32 products and sums are separate steps in the order of the inputs.

    Attributes:
        block: the inputs; where it has a base, deltas are added to it.
        weights: of every input.
        divisor: of the sum.
        scale: `lambda`, the factor of the sum.
        cuts: which entries of each delta stay; only where signs are elected.
        factors: of each delta that was cut.
        elect: add, per entry, only the weighted deltas that have the sign of all their sum
            (https://arxiv.org/abs/2306.01708).
        normalize: divide an elected entry by the sum of the weights that agreed.
    """

    block: Block
    weights: tuple[float, ...]
    divisor: float = 1.0
    scale: float = 1.0
    cuts: tuple[Cut, ...] = ()
    factors: tuple[float, ...] = ()
    elect: bool = False
    normalize: bool = False

    def blocks(self, kind: Type) -> npt.NDArray[np.uint8] | None:
        """Return the rows as blocks of a ggml type; None where an entry is not finite."""
        into = empty_blocks(kind, self.block.stored_inputs[0].shape)
        first_nonfinite = kernels().combine(
            int(kind),
            self.block.stored_inputs,
            self.block.stored_base,
            self._terms(),
            self.divisor,
            self.scale,
            self.elect,
            self.normalize,
            self.block.offset,
            into,
        )
        return into if first_nonfinite < 0 else None

    def _terms(self) -> list[tuple[float, float, int, int]]:
        count = len(self.weights)
        cuts = self.cuts or (ALL,) * count
        factors = self.factors or (1.0,) * count
        return [
            (weight, factor, cut.bits, cut.ties_end)
            for weight, factor, cut in zip(self.weights, factors, cuts, strict=True)
        ]


def blocks_of(merged: Float | Combination, kind: Type) -> npt.NDArray[np.uint8] | None:
    """Return merged rows as blocks of a ggml type; None where an entry is not finite.

    Returns:
        uint8, shape `(rows, bytes of a row)`.
    """
    if isinstance(merged, Combination):
        return merged.blocks(kind)
    rows = np.ascontiguousarray(merged)
    if kernels().first_nonfinite(rows) >= 0:
        return None
    return quantize_rows(rows, kind)
