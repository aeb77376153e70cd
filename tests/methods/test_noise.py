"""Random numbers by place: the same however a tensor is cut, others for another key."""

from __future__ import annotations

import numpy as np
from helpers.plain import noise

from mergesearch._kernels import kernels, mask_of
from mergesearch.methods.noise import noise_key


def drawn(key: int, place: int, number: int) -> bool:
    """Whether the kernels draw this number for the entry at a place."""
    masks = mask_of(1), mask_of(1)
    for below, mask in zip((number, number + 1), masks, strict=True):
        kernels().random_mask(key % 2**64, key >> 64, place, 1, below, mask)
    return [int(mask[0]) for mask in masks] == [0, 1]


def test_numbers_are_fixed() -> None:
    """A change here would change every merge that was made with a random mask."""
    key = noise_key(0, "", "a", "model.norm.weight")
    assert key == 0xAB297377C2CFF51540E2CA80B5D578F4
    for place, number in enumerate((263212038, 1359751215, 1806311876)):
        assert drawn(key, place, number)
    assert drawn(key, 2**40, 2061555973)


def test_a_pinned_parent_draws_the_same_numbers() -> None:
    """So that the recipe of a run, whose ids are pinned on export, gives the same bytes."""
    commit = "0123456789abcdef0123456789abcdef01234567"
    for plain, pinned in (
        ("org/a", f"org/a@{commit}"),
        ("org/a+org/b", f"org/a@{commit}+org/b@{commit}"),
    ):
        assert noise_key(0, "", plain, "x") == noise_key(0, "", pinned, "x")
    assert noise_key(0, "", "org/a@main", "x") != noise_key(0, "", "org/a", "x")


def test_each_part_of_the_key_counts() -> None:
    changes = [(1, "", "a", "x"), (0, "s", "a", "x"), (0, "", "b", "x"), (0, "", "a", "y")]
    keys = [noise_key(0, "", "a", "x"), *(noise_key(*change) for change in changes)]
    assert len(set(keys)) == 5
    assert len({noise(key, 0, 4).tobytes() for key in keys}) == 5


def test_numbers_are_uniform() -> None:
    """Mean and variance of a million, within five standard errors."""
    values = noise(noise_key(0, "", "a", "x"), 0, 10**6) / 2**32
    assert abs(values.mean() - 0.5) < 5 * np.sqrt(1 / 12 / 10**6)
    assert abs(values.var() - 1 / 12) < 5 * np.sqrt(1 / 180 / 10**6)
    assert abs(np.corrcoef(values[:-1], values[1:])[0, 1]) < 5e-3
