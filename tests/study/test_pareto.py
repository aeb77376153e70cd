"""The front's arithmetic: literal cases, properties, and optuna's own hypervolume."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from optuna._hypervolume import compute_hypervolume

from mergesearch.study.pareto import (
    best_fronts,
    hypervolume,
    knee,
    members_of,
    non_dominated,
    not_dominated,
)

UP = ("maximize", "maximize")
MIXED = ("maximize", "minimize")


@st.composite
def problems(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Values (rows, objectives) on a coarse grid, so that ties are common."""
    objectives = draw(st.integers(1, 4))
    rows = draw(st.integers(1, 8))
    grid = st.integers(0, 6).map(float)
    values = draw(hnp.arrays(np.float64, (rows, objectives), elements=grid))
    reference = draw(hnp.arrays(np.float64, objectives, elements=grid))
    directions = draw(
        st.lists(
            st.sampled_from(["maximize", "minimize"]), min_size=objectives, max_size=objectives
        )
    )
    return values, reference, directions


def _dominates(left: np.ndarray, right: np.ndarray, directions: list[str]) -> bool:
    """Whether `left` (objectives,) is nowhere worse than `right` and somewhere better."""
    gains = [
        a - b if direction == "maximize" else b - a
        for a, b, direction in zip(left, right, directions, strict=True)
    ]
    return min(gains) >= 0 and max(gains) > 0


def test_non_dominated_keeps_equals_and_names_rows_in_order() -> None:
    values = [[0.5, 0.5], [0.2, 0.9], [0.5, 0.5], [0.4, 0.4], [0.9, 0.1]]
    assert non_dominated(values, UP) == [0, 1, 2, 4]
    assert non_dominated([], UP) == []


def test_of_a_few_rows_all_at_once_those_stay_that_no_other_dominates() -> None:
    """Rows 0 and 2 are equal; rows 3 and 4 equal them in one objective and lose in the other."""
    gains = np.array([[0.5, 0.5], [0.2, 0.9], [0.5, 0.5], [0.5, 0.4], [0.4, 0.5]])
    assert not_dominated(gains).tolist() == [True, True, True, False, False]


def test_members_keep_their_numbers() -> None:
    values = {3: (0.5, 0.5), 5: (0.4, 0.4), 8: (0.2, 0.9)}
    assert members_of(values, UP) == {3: (0.5, 0.5), 8: (0.2, 0.9)}


def test_non_dominated_refuses_what_was_never_measured() -> None:
    with pytest.raises(ValueError, match="NaN"):
        non_dominated([[float("nan"), 1.0]], UP)
    with pytest.raises(ValueError, match="upward"):
        non_dominated([[1.0]], ["upward"])


@pytest.mark.parametrize(
    ("values", "reference", "directions", "expected"),
    [
        ([[3.0], [5.0]], [1.0], ["maximize"], 4.0),
        ([[3.0], [5.0]], [6.0], ["minimize"], 3.0),
        ([[1.0, 2.0], [2.0, 1.0]], [0.0, 0.0], UP, 3.0),
        ([[1.0, 2.0], [2.0, 1.0], [0.5, 0.5]], [0.0, 0.0], UP, 3.0),
        ([[2.0, 2.0], [3.0, 1.0], [1.0, 4.0]], [0.0, 0.0], UP, 7.0),
        ([[1.0, -2.0], [2.0, -1.0]], [0.0, 0.0], MIXED, 3.0),
        ([[1.0, 0.0]], [0.0, 0.0], UP, 0.0),
        ([[-1.0, 5.0]], [0.0, 0.0], UP, 0.0),
        ([[1.0, 1.0, 2.0], [1.0, 2.0, 1.0], [2.0, 1.0, 1.0]], [0.0] * 3, ["maximize"] * 3, 4.0),
        ([], [0.0, 0.0], UP, 0.0),
    ],
)
def test_hypervolume_by_hand(values, reference, directions, expected) -> None:
    assert hypervolume(values, reference, directions) == pytest.approx(expected)


@given(problems())
def test_hypervolume_equals_optunas(problem) -> None:
    values, reference, directions = problem
    signs = np.array([-1.0 if direction == "maximize" else 1.0 for direction in directions])
    losses, worst = values * signs, reference * signs
    inside = losses[(losses <= worst).all(axis=1)]
    expected = compute_hypervolume(inside, worst) if len(inside) else 0.0
    assert hypervolume(values, reference, directions) == pytest.approx(expected)


@given(problems())
def test_only_the_front_carries_the_hypervolume(problem) -> None:
    values, reference, directions = problem
    members = non_dominated(values, directions)
    whole = hypervolume(values, reference, directions)
    assert hypervolume(values[members], reference, directions) == pytest.approx(whole)


@given(problems())
def test_every_row_is_on_the_front_or_dominated_by_a_member(problem) -> None:
    values, _, directions = problem
    members = non_dominated(values, directions)
    assert members
    for row, candidate in enumerate(values):
        beaten = any(_dominates(values[member], candidate, directions) for member in members)
        assert beaten != (row in members)


@given(problems())
def test_the_knee_is_a_member_whatever_the_order_and_the_scale(problem) -> None:
    values, _, directions = problem
    chosen = knee(values, directions)
    assert chosen in non_dominated(values, directions)
    assert knee(values * 4.0 - 3.0, directions) == chosen


def test_knee_is_farthest_above_the_line_between_the_best() -> None:
    front = [[1.0, 0.0], [0.9, 0.5], [0.6, 0.7], [0.0, 1.0]]
    assert knee(front, UP) == 1
    assert knee([[x, -y] for x, y in front], MIXED) == 1


def test_knee_scales_each_objective_by_the_front() -> None:
    """A step of 40 on a range of 100 is less than a step of 0.9 on a range of 1."""
    assert knee([[100.0, 0.0], [60.0, 0.5], [40.0, 0.9], [0.0, 1.0]], UP) == 2


def test_knee_ignores_the_dominated() -> None:
    assert knee([[0.0, 0.0], [1.0, 0.0], [0.6, 0.6], [0.0, 1.0]], UP) == 2


@pytest.mark.parametrize(
    ("front", "expected"),
    [
        ([[0.3, 0.4]], 0),
        ([[0.3, 0.4], [0.2, 0.9]], 0),  # both sums are 1 after scaling: the first
        ([[0.5, 0.5], [0.5, 0.5], [0.5, 0.5]], 0),
    ],
)
def test_knee_of_tiny_fronts(front, expected) -> None:
    assert knee(front, UP) == expected


def test_knee_in_three_objectives_is_farthest_above_the_plane() -> None:
    corners = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    assert knee([*corners, [0.2, 0.3, 0.4], [0.4, 0.4, 0.3]], ["maximize"] * 3) == 4


def test_knee_without_a_plane_takes_the_largest_sum() -> None:
    """One row is best in two of three objectives, so the best rows span only a line."""
    front = [[1.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.9, 0.9, 0.5]]
    assert knee(front, ["maximize"] * 3) == 2


def test_the_largest_sum_is_one_of_scaled_objectives() -> None:
    front = [[100.0, 1.0, 0.0], [0.0, 0.0, 1.0], [90.0, 0.9, 0.5]]
    assert knee(front, ["maximize"] * 3) == 2


def test_the_plane_counts_not_the_sum() -> None:
    """The plane is x / 2 + y + z = 1; row 0 has the larger sum, row 4 stands farther above."""
    front = [[1.0, 0.5, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.9, 0.1, 0.3], [0.2, 0.6, 0.45]]
    assert knee(front, ["maximize"] * 3) == 4


def test_of_rows_that_share_a_best_value_the_one_with_the_largest_sum_is_a_corner() -> None:
    """Rows 0 and 2 are best in the first objective; a plane through row 0 would prefer row 2."""
    front = [[0.6, 0.4, 1.0], [0.2, 1.0, 0.0], [0.6, 0.6, 0.9], [0.3, 0.9, 0.7]]
    assert knee(front, ["maximize"] * 3) == 3


def test_three_members_have_a_plane() -> None:
    """Each is best in one objective, so all stand on the plane: the first is taken."""
    assert knee([[1.0, 0.6, 0.6], [0.7, 0.6, 0.8], [0.2, 0.8, 0.5]], ["maximize"] * 3) == 0


def test_corners_that_nearly_coincide_span_no_plane() -> None:
    """Row 3 has the largest sum; a plane through nearly equal rows would prefer row 4."""
    close = 1 - 1e-12
    front = [[1, close, 0], [close, 1, 0], [0, 0, 1], [0.95, 0.95, 0.3], [0.6, 0.6, 0.75]]
    assert knee(front, ["maximize"] * 3) == 3


def test_an_objective_that_all_members_share_decides_nothing() -> None:
    assert knee([[1.0, 0.0, 0.7], [0.0, 1.0, 0.7], [0.6, 0.6, 0.7]], ["maximize"] * 3) == 2


def test_rounding_does_not_decide_between_equals() -> None:
    assert knee([[1.0, 0.0], [0.0, 1.0], [0.7, 0.5], [0.5, 0.7 + 1e-14]], UP) == 2


def test_an_empty_front_has_no_knee() -> None:
    with pytest.raises(ValueError, match="empty"):
        knee([], UP)


def test_fronts_are_taken_until_there_are_enough_rows() -> None:
    values = [(0.9, 0.1), (0.8, 0.2), (0.95, 0.3), (0.1, 0.9), (0.85, 0.4)]
    directions = ["maximize", "minimize"]
    assert best_fronts(values, directions, 2) == [0, 2]
    assert best_fronts(values, directions, 3) == [0, 1, 2, 4]
    assert best_fronts(values, directions, 99) == [0, 1, 2, 3, 4]
    assert best_fronts([], directions, 3) == []
