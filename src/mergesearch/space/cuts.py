"""Where the depth is cut: blocks of layers with a value each, or control points of a curve.

Of layers in which the parents differ much, fewer share a value. A recipe has one number for each
layer then, as a gradient with as many points as there are layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

AUTO_POINTS = 4
"""Control points of `curve: auto`."""


@dataclass(frozen=True)
class Cut:
    """Layers at which the depth is cut.

    Attributes:
        kind: `curve` where values are control points, `blocks` where each holds for its layers.
        layers: Layers of the control points, the first and the last layer among them; or of each
            block the layer after its last. Empty before the depth is cut.
    """

    kind: Literal["curve", "blocks"]
    layers: tuple[int, ...] = ()

    @property
    def n_layers(self) -> int:
        """Number of layers."""
        return self.layers[-1] + (self.kind == "curve")

    def spread(self, numbers: Sequence[float]) -> list[float]:
        """Return one number for each layer."""
        if self.kind == "blocks":
            starts = (0, *self.layers[:-1])
            sizes = [end - start for start, end in zip(starts, self.layers, strict=True)]
            return [
                number for number, size in zip(numbers, sizes, strict=True) for _ in range(size)
            ]
        found: list[float] = np.interp(range(self.n_layers), self.layers, numbers).tolist()
        return found

    def gather(self, numbers: Sequence[Any]) -> list[Any]:
        """Return the numbers that `spread` was given."""
        offset = 1 if self.kind == "blocks" else 0
        return [numbers[layer - offset] for layer in self.layers]


def cut_by_mass(kind: Literal["curve", "blocks"], masses: Sequence[float], count: int) -> list[int]:
    """Return where the depth is cut so that what lies between has about equal mass.

    Args:
        kind: `curve` or `blocks`.
        masses: Mass of the parents' deltas in each layer.
        count: Number of control points or blocks.
    """
    shares = np.asarray(masses, dtype=np.float64)
    total = float(shares.sum())
    shares = shares / total if total > 0 else np.full(len(shares), 1 / len(shares))
    return _points(shares, count) if kind == "curve" else _block_ends(shares, count)


def _points(shares: np.ndarray[Any, np.dtype[np.float64]], count: int) -> list[int]:
    """The first and the last layer, and between them those with equal mass from one to the next."""
    last = len(shares) - 1
    count = min(count, len(shares))
    middle = np.cumsum(shares) - shares / 2
    place = (middle - middle[0]) / (middle[-1] - middle[0]) if last else middle
    points: list[int] = []
    for index in range(count):
        low = points[-1] + 1 if points else 0
        high = last - (count - 1 - index)
        wanted = int(np.argmin(np.abs(place - index / max(1, count - 1))))
        # The last point is the last layer, also where layers before it have all the mass.
        points.append(high if 0 < index == count - 1 else min(max(wanted, low), high))
    return points


def _block_ends(shares: np.ndarray[Any, np.dtype[np.float64]], count: int) -> list[int]:
    """The ends of blocks with balanced mass and little spread inside, by dynamic programming.

    What is least is the sum over all blocks of (count * share - 1)^2 / count, plus the part of the
    layers' variance that is left inside of blocks (the aims of BAMBO, arXiv 2512.09972, section 3).
    """
    n_layers = len(shares)
    spread = float(((shares - shares.mean()) ** 2).sum())
    sums = np.r_[0.0, np.cumsum(shares)]
    squares = np.r_[0.0, np.cumsum(shares**2)]

    def cost(start: int, end: int) -> float:
        share = sums[end] - sums[start]
        inside = squares[end] - squares[start] - share**2 / (end - start)
        return float((count * share - 1) ** 2 / count + (inside / spread if spread > 0 else 0.0))

    best: dict[tuple[int, int], tuple[float, int]] = {(0, 0): (0.0, 0)}
    for block in range(1, count + 1):
        for end in range(block, n_layers - (count - block) + 1):
            best[block, end] = min(
                (best[block - 1, start][0] + cost(start, end), start)
                for start in range(block - 1, end)
                if (block - 1, start) in best
            )
    ends, end = [], n_layers
    for block in range(count, 0, -1):
        ends.append(end)
        end = best[block, end][1]
    return ends[::-1]
