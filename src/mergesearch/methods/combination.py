"""Merges that the kernels compute, straight from stored rows to the type that is wanted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from gguf import GGMLQuantizationType as Type

from mergesearch._kernels import kernels
from mergesearch.methods.inputs import Float, InputRows
from mergesearch.methods.sparsify import ALL, Cut
from mergesearch.quantize import empty_blocks, quantize_rows


@dataclass(frozen=True)
class Combination:
    """A weighted sum of some rows' inputs, or of their deltas on the base; not yet computed.

    Float32 products and sums are separate steps in the order of the inputs.

    Attributes:
        rows: Rows of the inputs; where they have a base, deltas are added to it.
        weights: Weight of every input.
        divisor: Divisor of the sum.
        scale: Factor of the sum, `lambda` in a recipe.
        cuts: Which entries of each delta stay; only where signs are elected.
        factors: Factor of each delta that was cut.
        elect: Whether to add, per entry, only the weighted deltas that have the sign of all their
            sum (https://arxiv.org/abs/2306.01708).
        normalize: Whether to divide an elected entry by the sum of the weights that agreed.
    """

    rows: InputRows
    weights: tuple[float, ...]
    divisor: float = 1.0
    scale: float = 1.0
    cuts: tuple[Cut, ...] = ()
    factors: tuple[float, ...] = ()
    elect: bool = False
    normalize: bool = False

    def rows_as(self, kind: Type) -> npt.NDArray[np.uint8] | None:
        """Return the rows in a ggml type; None where an entry is not finite."""
        into = empty_blocks(kind, self.rows.stored_inputs[0].shape)
        first_nonfinite = kernels().combine(
            int(kind),
            self.rows.stored_inputs,
            self.rows.stored_base,
            self._terms(),
            self.divisor,
            self.scale,
            self.elect,
            self.normalize,
            self.rows.offset,
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


def rows_as(merged: Float | Combination, kind: Type) -> npt.NDArray[np.uint8] | None:
    """Return merged rows in a ggml type; None where an entry is not finite.

    Returns:
        uint8, shape `(rows, bytes of a row)`.
    """
    if isinstance(merged, Combination):
        return merged.rows_as(kind)
    values = np.ascontiguousarray(merged)
    if kernels().first_nonfinite(values) >= 0:
        return None
    return quantize_rows(values, kind)
