"""How much each dimension is thought to matter: by how much of the parents' deltas it governs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from mergesearch.space.document import KeyPath, value_at
from mergesearch.space.holes import GROUP_FILTERS, Hole

LARGEST = 10.0
"""How much more, or less, than the mean a dimension is thought to matter at most: masses are a hint
and no measurement."""


class Mass(NamedTuple):
    """How much a parent differs from the base in one tensor.

    Attributes:
        parent: Id of the parent.
        tensor: Name of the tensor.
        layer: Layer of the tensor, None for one outside of the layers.
        size: Squared length of the parent's delta.
    """

    parent: str
    tensor: str
    layer: int | None
    size: float


def relevances(
    document: Mapping[str, Any], holes: Sequence[Hole], masses: Sequence[Mass]
) -> dict[str, float]:
    """Return how much each number of a space is thought to matter, 1 on average, by its name.

    What a number scales is the delta of its own parent, else those of all, in its group of tensors
    and around its point of the depth. Choices are not told apart.

    Args:
        masses: How much the parents differ from the base.
    """
    n_layers = 1 + max((mass.layer for mass in masses if mass.layer is not None), default=0)
    governed: defaultdict[str, float] = defaultdict(float)
    for hole in holes:
        if hole.dimension.choices:
            continue
        own = _own(document, hole, masses)
        width = hole.dimension.high - hole.dimension.low
        for group, names in hole.names().items():
            sizes = _by_point(hole, len(names), n_layers, _of_group(own, hole, group))
            for name, size in zip(names, sizes, strict=True):
                governed[name] += width**2 * float(size)
    if not any(governed.values()):
        return dict.fromkeys(governed, 1.0)
    mean = float(np.mean([*governed.values()]))
    return {name: min(max(size / mean, 1 / LARGEST), LARGEST) for name, size in governed.items()}


def _own(document: Mapping[str, Any], hole: Hole, masses: Iterable[Mass]) -> list[Mass]:
    """The masses of the parent that a hole belongs to, of all parents where it is of all."""
    parent = _parent(document, hole.path)
    found = [mass for mass in masses if mass.parent == parent]
    return found or list(masses)


def _parent(document: Mapping[str, Any], path: KeyPath) -> Any:
    entry = value_at(document, path[: path.index("parameters")]) if "parameters" in path else None
    return entry.get("model") if isinstance(entry, dict) else None


def _of_group(masses: Sequence[Mass], hole: Hole, group: str | None) -> list[Mass]:
    """The masses of a group's tensors; `rest` is what no other group has."""
    if group is None:
        return list(masses)
    if group in GROUP_FILTERS:
        return [mass for mass in masses if GROUP_FILTERS[group] in mass.tensor]
    others = [GROUP_FILTERS[name] for name in hole.per if name in GROUP_FILTERS]
    return [mass for mass in masses if not any(part in mass.tensor for part in others)]


def _by_point(hole: Hole, points: int, n_layers: int, masses: Sequence[Mass]) -> Sequence[float]:
    """The masses around each control point, (points,); what is in no layer is at all of them."""
    by_layer, outside = np.zeros(n_layers), 0.0
    for mass in masses:
        if mass.layer is None:
            outside += mass.size
        else:
            by_layer[mass.layer] += mass.size
    found: list[float] = (_shares(hole, points, n_layers) @ by_layer + outside / points).tolist()
    return found


def _shares(hole: Hole, points: int, n_layers: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """How much of each layer's value each control point decides, (points, layers)."""
    if hole.cut is not None and hole.cut.layers and points > 1:
        return np.array([hole.cut.spread(row.tolist()) for row in np.eye(points)])
    places = np.linspace(0, points - 1, n_layers)
    return np.array([np.interp(places, np.arange(points), row) for row in np.eye(points)])
