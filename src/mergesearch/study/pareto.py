"""Dominance, the Pareto front, hypervolume and the knee, in NumPy only.

Values come as the objectives report them, one row a candidate, one column an objective, beside one
direction (`"maximize"` or `"minimize"`) a column. Inside, every column is turned so that more is
better.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def sign_of(direction: str) -> int:
    """Return 1 where more is better (`maximize`), -1 where less is (`minimize`)."""
    return 1 if direction == "maximize" else -1


def signs_of(directions: Sequence[str]) -> Floats:
    """Return the sign of each direction, (objectives,): with it, more is better in all."""
    return np.array([float(sign_of(direction)) for direction in directions])


def _gains(values: ArrayLike, directions: Sequence[str]) -> Floats:
    """Values as a float64 matrix (rows, objectives) in which more is better."""
    unknown = set(directions) - {"maximize", "minimize"}
    if unknown:
        raise ValueError(f"directions are 'maximize' or 'minimize', not {sorted(unknown)}")
    signs = signs_of(directions)
    matrix: Floats = np.asarray(values, dtype=np.float64).reshape(-1, len(signs))
    if np.isnan(matrix).any():
        raise ValueError("a candidate without a value has no place in a comparison (NaN)")
    gains: Floats = matrix * signs
    return gains


def non_dominated(values: ArrayLike, directions: Sequence[str]) -> list[int]:
    """Indices, ascending, of the rows of `values` (rows, objectives) that no other row dominates.

    Rows that are equal do not dominate each other: all of them stay. Two objectives take a sort.
    """
    gains = _gains(values, directions)
    if gains.shape[1] == 2:
        return _non_dominated_pairs(gains)
    return [
        index
        for index, row in enumerate(gains)
        if not ((gains >= row).all(axis=1) & (gains > row).any(axis=1)).any()
    ]


def _non_dominated_pairs(gains: Floats) -> list[int]:
    """The same for `gains` (rows, 2).

    From the best in the first objective downward, a row is dominated unless it is the first, or
    equals the first, that reaches the best value of the second objective so far.
    """
    order = np.lexsort((-gains[:, 1], -gains[:, 0]))
    ordered = gains[order]
    best = np.maximum.accumulate(ordered[:, 1])
    first = np.searchsorted(best, ordered[:, 1])
    members = order[(ordered[first] == ordered).all(axis=1)]
    return sorted(members.tolist())


def not_dominated(gains: Floats) -> NDArray[np.bool_]:
    """Which of a few rows of `gains` (rows, objectives) no other row dominates: all at once."""
    better = (gains[:, None] >= gains).all(axis=-1) & (gains[:, None] > gains).any(axis=-1)
    return np.asarray(~better.any(axis=0))


def members_of(
    values: Mapping[int, Sequence[float]], directions: Sequence[str]
) -> dict[int, Sequence[float]]:
    """Values of the trials that no other dominates, by number.

    A front grows trial by trial: its members and one more trial give those of all.
    """
    trials = list(values)
    members = non_dominated(list(values.values()), directions)
    return {trials[index]: values[trials[index]] for index in members}


def best_fronts(values: ArrayLike, directions: Sequence[str], most: int) -> list[int]:
    """Indices, ascending, of the rows on the front, then on that of the others, and so on.

    Args:
        values: Values (rows, objectives).
        directions: `maximize` or `minimize`, one an objective.
        most: Number of rows after which no further front is taken in.
    """
    matrix = np.asarray(values, dtype=np.float64).reshape(-1, len(directions))
    left = np.arange(len(matrix))
    chosen: list[int] = []
    while len(left) and len(chosen) < most:
        front = left[non_dominated(matrix[left], directions)]
        chosen += front.tolist()
        left = np.setdiff1d(left, front)
    return sorted(chosen)


def hypervolume(values: ArrayLike, reference: ArrayLike, directions: Sequence[str]) -> float:
    """Exact volume that the rows of `values` (rows, objectives) dominate above `reference`.

    A row that is not better than the reference point (objectives,) in every objective adds
    nothing. One and two objectives take a sort; more take the exclusive volumes of While,
    Bradstreet and Barone, "A Fast Way of Calculating Exact Hypervolumes" (2012), section III.
    """
    above: Floats = _gains(values, directions) - _gains(reference, directions)
    return _volume(above[(above > 0).all(axis=1)])


def _volume(boxes: Floats) -> float:
    """Volume of the union of boxes that stretch from the origin to each row, all positive."""
    if not len(boxes):
        return 0.0
    if boxes.shape[1] == 1:
        return float(boxes.max())
    boxes = np.unique(boxes, axis=0)  # ascending in the first column
    boxes = boxes[non_dominated(boxes, ["maximize"] * boxes.shape[1])]
    if boxes.shape[1] == 2:
        widths = np.diff(boxes[:, 0], prepend=0.0)
        return float(widths @ boxes[:, 1])
    total = 0.0
    for index, box in enumerate(boxes):
        shared = np.minimum(boxes[index + 1 :], box)
        total += float(box.prod()) - _volume(shared)
    return total


def knee(values: ArrayLike, directions: Sequence[str]) -> int:
    """Index of the front's knee among the rows of `values` (rows, objectives).

    Each objective is scaled to [0, 1] between the front's worst and best. The knee is the member
    farthest above the plane through the best members of each objective; with fewer than three
    members, or where those do not span a plane, the one with the largest sum. Rows that are
    dominated are never chosen; of equals the first is.

    Raises:
        ValueError: There are no rows.
    """
    members = non_dominated(values, directions)
    if not members:
        raise ValueError("an empty front has no knee")
    gains = _gains(values, directions)[members]
    worst, span = gains.min(axis=0), gains.max(axis=0) - gains.min(axis=0)
    differ = span > 0
    scaled = (gains - worst)[:, differ] / span[differ]
    normal = _plane(scaled)
    heights = scaled.sum(axis=1) if normal is None else scaled @ normal
    # Rounding must not decide between equals, so that ties go to the first member everywhere.
    return members[int(np.argmax(np.round(heights, 12)))]


def _plane(scaled: Floats) -> Floats | None:
    """Normal of the plane `normal . x = 1` through the best row of each column, if they span one.

    Among rows that share a column's best value the one with the largest sum stands for it.
    """
    sums = scaled.sum(axis=1)
    corners = [int(np.lexsort((-sums, -column))[0]) for column in scaled.T]
    matrix = scaled[corners]
    if np.linalg.matrix_rank(matrix, tol=1e-9) < len(matrix):
        return None
    normal: Floats = np.linalg.solve(matrix, np.ones(len(matrix))).astype(np.float64)
    return normal
