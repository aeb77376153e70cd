"""Where the depth is cut: blocks of layers with a value each, or control points of a curve.

Of layers in which the parents differ much, fewer share a value. A recipe has one number for each
layer then, as a gradient with as many points as there are layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
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

    def spread(self, numbers: Sequence[float]) -> list[float]:
        """Return one number for each layer."""
        if self.kind == "blocks":
            starts = (0, *self.layers[:-1])
            sizes = [end - start for start, end in zip(starts, self.layers, strict=True)]
            return [
                number for number, size in zip(numbers, sizes, strict=True) for _ in range(size)
            ]
        found: list[float] = np.interp(range(self.layers[-1] + 1), self.layers, numbers).tolist()
        return found


def cut_by_mass(kind: Literal["curve", "blocks"], masses: Sequence[float], count: int) -> list[int]:
    """Return where the depth is cut so that what lies between has about equal mass.

    Args:
        kind: `curve` or `blocks`.
        masses: Mass of the parents' deltas in each layer.
        count: Number of control points or blocks.
    """
    known = np.asarray(masses, dtype=np.float64)
    known = known if known.any() else np.ones_like(known)
    shares = known / known.sum()
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

    What is least is the sum over all blocks of (count * share - 1)^2 / count, less the part of the
    layers' variance that lies between blocks rather than inside of them (the aims of BAMBO, arXiv
    2512.09972, section 3). Layers that are all alike have no variance, not that of rounding.
    """
    sums = np.r_[0.0, np.cumsum(shares)]
    differ = shares.max() > shares.min()
    spread = ((shares - shares.mean()) ** 2).sum()

    def cost(start: int, end: int) -> float:
        """What a block adds to the sum, but for what is the same in all cuts."""
        weight = count - 1 / (end - start) / spread if differ else count
        return float(weight * (sums[end] - sums[start]) ** 2)

    @cache
    def best(blocks: int, end: int) -> tuple[float, tuple[int, ...]]:
        """The least cost of blocks that reach up to a layer, and their ends, the last one first."""
        if blocks == 1:
            return cost(0, end), (end,)
        before = ((start, *best(blocks - 1, start)) for start in range(blocks - 1, end))
        return min((least + cost(start, end), (end, *ends)) for start, least, ends in before)

    return sorted(best(count, len(shares))[1])
