"""How points of a space are compared, before anything is observed there.

A curve over depth is compared by its level, its slope and its finer waves rather than point by
point: they are the coordinates of an orthonormal cosine transform (DCT-II) of its control points.
The finer a wave, the less it is thought to matter, until what is observed says otherwise. So a
search learns of curves from coarse to fine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct

from mergesearch.space import Dimension
from mergesearch.study.pareto import Floats

Flags = NDArray[np.bool_]

DECAY = 2.0
"""Power of a wave's order by which it is thought to matter less."""


@dataclass(frozen=True)
class Geometry:
    """How points are compared.

    Attributes:
        choices: Which dimensions are choices, (dimensions,).
        basis: Coordinates of the unit points, (coordinates, dimensions), orthonormal.
        relevance: How much more than others each coordinate is thought to matter, (coordinates,).
    """

    choices: Flags
    basis: Floats
    relevance: Floats

    @classmethod
    def plain(cls, choices: Sequence[bool] | Flags) -> Geometry:
        """Return the geometry in which every dimension is a coordinate, and all are alike."""
        return cls(np.array(choices, bool), np.eye(len(choices)), np.ones(len(choices)))

    @classmethod
    def of(
        cls, dimensions: Sequence[Dimension], relevance: Mapping[str, float] | None = None
    ) -> Geometry:
        """Return the geometry of dimensions, in which the points of a curve are neighbours.

        Args:
            relevance: How much each of them is thought to matter, by its name; 1 where left out.
        """
        curves: dict[str, list[int]] = {}
        for index, dimension in enumerate(dimensions):
            if dimension.curve is not None:
                curves.setdefault(dimension.curve, []).append(index)
        geometry = cls.plain([bool(dimension.choices) for dimension in dimensions])
        known = relevance or {}
        geometry.relevance[:] = [known.get(dimension.name, 1.0) for dimension in dimensions]
        for columns in curves.values():
            waves = dct(np.eye(len(columns)), norm="ortho", axis=0)
            geometry.basis[np.ix_(columns, columns)] = waves
            whole = geometry.relevance[columns].mean()
            geometry.relevance[columns] = whole * (1.0 + np.arange(len(columns))) ** -DECAY
        return geometry

    def distances(self, left: Floats, right: Floats) -> Floats:
        """Return the squared distance in each coordinate, (coordinates, left, right)."""
        left, right = left @ self.basis.T, right @ self.basis.T
        gaps: Floats = (left.T[:, :, None] - right.T[:, None, :]) ** 2
        gaps[self.choices] = gaps[self.choices] > 0
        return gaps

    def slopes(self, gaps: Floats, scales: Floats) -> Floats:
        """Return the derivatives of scaled squared distances by the ranges, (points, dimensions).

        Args:
            gaps: Differences of points, (points, dimensions).
            scales: Factor of each coordinate's squared distance.
        """
        by_coordinate = np.where(self.choices, 0.0, gaps @ self.basis.T) * 2 * scales
        slopes: Floats = by_coordinate @ self.basis
        return slopes
