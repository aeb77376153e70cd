"""Merges that the kernels compute, straight from stored rows to the type that is wanted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from gguf import GGMLQuantizationType as Type

from mergesearch._kernels import Consensus, Mask, kernels
from mergesearch._kernels.stored import Float
from mergesearch.methods.inputs import InputRows
from mergesearch.quantize import empty_blocks, quantize_rows

Multipliers = float | Float
"""One factor for all entries, or one for each row or column, shape `(n,)`."""


@dataclass(frozen=True)
class Combination:
    """What some rows of the inputs become; not yet computed.

    base_scale * base + scale * consensus / divisor, the consensus of the inputs' deltas where the
    rows have a base and of their values elsewhere. Float32 products and sums are separate steps in
    the order of the inputs.

    Attributes:
        rows: Rows of the inputs.
        weights: Weight of every input, shape `(inputs,)`, or `(inputs, n)` with one for each row or
            column.
        consensus: How the inputs become one.
        kept: Which entries of every delta are not multiplied by zero, None for all; empty where
            all of all are kept.
        factors: Factor of what is kept of every delta; empty where all are 1.
        normalize: Whether to divide an elected entry by the sum of the weights that agreed.
        limit: Number that some kinds of consensus take.
        divisor: Divisor of the consensus.
        scale: Factor of the consensus, `lambda` in a recipe.
        base_scale: Factor of the base.
        of_values: Whether the consensus is one of values though there is a base.
        by_column: Whether factors that differ are those of columns, not of rows.
    """

    rows: InputRows
    weights: Sequence[float] | Float
    consensus: Consensus = Consensus.SUM
    kept: Sequence[Mask | None] = ()
    factors: Sequence[float] = ()
    normalize: bool = False
    limit: float = 0.0
    divisor: float = 1.0
    scale: Multipliers = 1.0
    base_scale: Multipliers = 1.0
    of_values: bool = False
    by_column: bool = False

    def rows_as(self, kind: Type) -> npt.NDArray[np.uint8] | None:
        """Return the rows in a ggml type; None where an entry is not finite."""
        inputs, base = self.rows.stored_inputs, self.rows.stored_base
        count = len(inputs)
        into = empty_blocks(kind, inputs[0].shape)
        first_nonfinite = kernels().combine(
            int(kind),
            inputs,
            base,
            kept=self.kept or [None] * count,
            factors=np.asarray(self.factors or [1.0] * count, dtype=np.float32),
            weights=np.asarray(self.weights, dtype=np.float32).reshape(count, -1),
            consensus=self.consensus,
            deltas=base is not None and not self.of_values,
            normalize=self.normalize,
            limit=self.limit,
            divisor=self.divisor,
            scale=_factors(self.scale),
            base_scale=_factors(self.base_scale),
            by_column=self.by_column,
            into=into,
        )
        return into if first_nonfinite < 0 else None


def _factors(factors: Multipliers) -> Float:
    return np.asarray(factors, dtype=np.float32).reshape(-1)


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
