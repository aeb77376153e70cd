"""Sparsifiers: which entries stay, how many, with which norm, however the delta is cut."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.blockwise import cut, rows_of
from hypothesis import given
from hypothesis import strategies as st

from mergesearch.methods import Combination, InputRows, InputTensor, Settings, sparsifiers
from mergesearch.methods.noise import noise_key
from mergesearch.methods.sparsifiers import Sparsifier, sparsified

DELTA = np.random.default_rng(11).standard_normal((300, 200)).astype(np.float32)
KEY = noise_key(0, "", "a", "x")
ALL = [
    sparsifiers.largest,
    sparsifiers.without_outliers,
    sparsifiers.random,
    sparsifiers.by_rank,
]
RANDOM = [sparsifiers.random, sparsifiers.by_rank]


def of_one(density: float, gamma: float = 0.0, epsilon: float = 0.0) -> Settings:
    """The settings of a merge of one parent."""
    return {"density": (density,), "gamma": (gamma,), "epsilon": (epsilon,)}


def apply(
    sparsifier: Sparsifier,
    delta: np.ndarray,
    settings: Settings,
    rescale: bool = False,
    step: int = 1000,
    key: int = KEY,
) -> np.ndarray:
    """The sparse delta on a base of zeros, planned over blocks of 7 rows, applied in others."""
    base = np.zeros_like(delta)
    tensor = InputTensor.of(cut(base, [delta], range(7, len(delta), 7)), (key,))
    sparse = sparsified(sparsifier, tensor, 0, {**settings, "rescale": rescale})
    merged = [
        Combination(rows, (1.0,), kept=[sparse.mask(rows)], factors=[sparse.factor])
        for rows in cut(base, [delta], range(step, len(delta), step))
    ]
    return np.concatenate([rows_of(combination) for combination in merged])


@pytest.mark.parametrize("sparsifier", ALL)
@pytest.mark.parametrize("rescale", [True, False])
def test_the_cut_into_blocks_does_not_matter(sparsifier: Sparsifier, rescale: bool) -> None:
    settings = of_one(0.3, gamma=0.02, epsilon=0.1)
    whole = apply(sparsifier, DELTA, settings, rescale)
    for step in (1, 7, 13):
        assert np.array_equal(apply(sparsifier, DELTA, settings, rescale, step), whole)


@pytest.mark.parametrize("sparsifier", ALL)
def test_density_one_leaves_the_delta_and_zero_nothing(sparsifier: Sparsifier) -> None:
    """Even what rescaling would change, and outliers."""
    full = of_one(1.0, gamma=0.5, epsilon=0.5)
    assert np.array_equal(apply(sparsifier, DELTA, full, rescale=True), DELTA)
    none = of_one(0.0, gamma=0.1, epsilon=0.1)
    assert not apply(sparsifier, DELTA, none, rescale=True).any()


@pytest.mark.parametrize("sparsifier", ALL)
def test_rescaling_keeps_the_sum_of_magnitudes(sparsifier: Sparsifier) -> None:
    settings = of_one(0.3, gamma=0.02, epsilon=0.1)
    plain, scaled = (apply(sparsifier, DELTA, settings, on) for on in (False, True))
    assert np.abs(scaled).sum() == pytest.approx(np.abs(DELTA).sum(), rel=1e-5)
    factor = scaled[plain != 0] / plain[plain != 0]
    np.testing.assert_allclose(factor, factor[0], rtol=1e-6)
    kept = plain != 0
    assert np.array_equal(plain[kept], DELTA[kept])


@pytest.mark.parametrize("sparsifier", RANDOM)
def test_tensors_too_large_to_remember_masks_are_made_sparse_alike(
    sparsifier: Sparsifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = of_one(0.3, epsilon=0.1)
    expected = apply(sparsifier, DELTA, settings, True, 7)
    monkeypatch.setattr(sparsifiers, "MOST_REMEMBERED", 100)
    assert np.array_equal(apply(sparsifier, DELTA, settings, True, 7), expected)


def test_a_remembered_mask_is_made_once_and_kept_until_it_is_used() -> None:
    made = []

    def make(rows: InputRows) -> np.ndarray:
        made.append(rows.offset)
        return np.zeros(2, np.uint32)

    first, second = cut(None, [DELTA[:2]], [1])
    masks = sparsifiers.RememberedMasks(make, DELTA[:2].size)
    masks.remember(first)
    masks.remember(second)
    masks(first)
    assert made == [0, 200]
    masks(first)  # again, as of a stage that is read twice
    assert made == [0, 200, 0]


@given(
    values=st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=40, unique_by=abs),
    density=st.floats(0, 0.99),
    gamma=st.floats(0, 1),
)
def test_without_outliers_equals_sorting(values: list[float], density: float, gamma: float) -> None:
    """The `density` part below the `gamma` part of largest ones; fewer are dropped if need be."""
    delta = np.array([values], dtype=np.float32)
    size = len(values)
    kept, dropped = int(density * size), int(gamma * size)
    dropped = min(dropped, size - kept)
    order = np.argsort(-np.abs(delta[0]))[dropped : dropped + kept]
    expected = np.zeros_like(delta)
    expected[0, order] = delta[0, order]
    found = apply(sparsifiers.without_outliers, delta, of_one(density, gamma))
    assert np.array_equal(found, expected)


def test_a_small_density_keeps_the_largest_entry() -> None:
    delta = np.array([[1, -9, 2]], np.float32)
    assert apply(sparsifiers.largest, delta, of_one(0.01)).tolist() == [[0, -9, 0]]


def test_without_outliers_by_hand() -> None:
    """Of ten entries the largest goes, the next four stay."""
    delta = np.array([[1, -9, 2, 3, -4, 5, 6, 7, -8, 10]], np.float32)
    found = apply(sparsifiers.without_outliers, delta, of_one(0.4, gamma=0.1))
    assert found.tolist() == [[0, -9, 0, 0, 0, 0, 6, 7, -8, 0]]


@pytest.mark.parametrize("sparsifier", RANDOM)
@pytest.mark.parametrize("density", [0.2, 0.7])
def test_random_masks_keep_the_density_on_average(sparsifier: Sparsifier, density: float) -> None:
    """Within five standard errors of 60,000 draws."""
    found = apply(sparsifier, DELTA, of_one(density, epsilon=0.15))
    error = np.sqrt(density * (1 - density) / DELTA.size)
    assert abs((found != 0).mean() - density) < 5 * error


def test_random_masks_ignore_magnitudes_and_ranked_ones_follow_them() -> None:
    """Share kept among the smaller and the larger half of each row."""
    ranks = np.argsort(np.argsort(np.abs(DELTA), axis=1), axis=1)
    upper = ranks >= DELTA.shape[1] // 2
    settings = of_one(0.5, epsilon=0.4)
    plain = apply(sparsifiers.random, DELTA, settings) != 0
    assert plain[upper].mean() == pytest.approx(plain[~upper].mean(), abs=0.02)
    ranked = apply(sparsifiers.by_rank, DELTA, settings) != 0
    assert ranked[upper].mean() == pytest.approx(0.7, abs=0.015)
    assert ranked[~upper].mean() == pytest.approx(0.3, abs=0.015)


def test_chances_rise_from_density_minus_to_plus_epsilon() -> None:
    """A row of three, drawn 20,000 times: 0.3, 0.5, 0.7 by magnitude; one column: the density."""
    rows = np.tile(np.array([[3.0, -1.0, 2.0]], np.float32), (20_000, 1))
    found = apply(sparsifiers.by_rank, rows, of_one(0.5, epsilon=0.2)) != 0
    assert found.mean(axis=0) == pytest.approx([0.7, 0.3, 0.5], abs=0.02)
    column = np.ones((20_000, 1), np.float32)
    found = apply(sparsifiers.by_rank, column, of_one(0.5, epsilon=0.2)) != 0
    assert found.mean() == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("sparsifier", RANDOM)
def test_masks_depend_on_the_key_alone(sparsifier: Sparsifier) -> None:
    one, same, other = (
        apply(sparsifier, DELTA, of_one(0.5, epsilon=0.1), key=key) for key in (KEY, KEY, 5)
    )
    assert np.array_equal(one, same)
    assert ((one != 0) == (other != 0)).mean() == pytest.approx(0.5, abs=0.02)
