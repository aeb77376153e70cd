"""Items are divided by content and seed alone, disjointly, and smaller sets are subsets."""

from __future__ import annotations

import hashlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mergesearch.errors import ObjectivesError
from mergesearch.objectives import items_by_task, part_of, split_items


@given(
    st.lists(st.text(max_size=3), min_size=0, max_size=40),
    st.integers(0, 12),
    st.integers(0, 12),
    st.integers(0, 5),
)
def test_split_is_disjoint_by_content_and_nested(
    contents: list[str], n_search: int, n_validate: int, seed: int
) -> None:
    if len(set(contents)) < n_search + n_validate:
        with pytest.raises(ObjectivesError, match="distinct"):
            split_items(contents, n_search, n_validate, seed)
        return
    search, validate = split_items(contents, n_search, n_validate, seed)
    assert (len(search), len(validate)) == (n_search, n_validate)
    assert len({contents[index] for index in search + validate}) == n_search + n_validate
    smaller, _ = split_items(contents, n_search // 2, 0, seed)
    assert smaller == search[: n_search // 2]


def test_of_items_with_the_same_content_the_first_takes_part() -> None:
    assert split_items(["x", "x", "x"], 1, 0, 0) == ([0], [])
    with pytest.raises(ObjectivesError, match="2 items are requested, but the task has 1 distinct"):
        split_items(["x", "x", "x"], 1, 1, 0)


def test_items_are_sorted_into_their_tasks() -> None:
    assert items_by_task([("quiz", 3), ("essay", 1), ("quiz", 0)]) == {"quiz": [3, 0], "essay": [1]}


def test_split_depends_on_the_seed_and_not_on_the_order_of_items() -> None:
    contents = [f"item {index}" for index in range(50)]
    first, _ = split_items(contents, 10, 10, 0)
    backwards, _ = split_items(contents[::-1], 10, 10, 0)
    assert [contents[index] for index in first] == [contents[::-1][index] for index in backwards]
    assert split_items(contents, 10, 10, 1)[0] != first


def test_the_order_is_that_of_sha_256_over_seed_and_content() -> None:
    digests = {f"item {index}": index for index in range(9)}
    expected = sorted(digests, key=lambda name: hashlib.sha256(f"7\0{name}".encode()).hexdigest())
    search, validate = split_items(list(digests), 4, 5, 7)
    assert search + validate == [digests[name] for name in expected]


@given(st.integers(0, 50), st.lists(st.floats(0, 1), max_size=4).map(sorted))
def test_parts_that_meet_leave_no_item_out_and_have_none_in_common(
    size: int, ends: list[float]
) -> None:
    order = {"quiz": list(range(100, 100 + size))}
    cuts = [0.0, *ends, 1.0]
    parts = [part_of(order, start, stop) for start, stop in pairwise(cuts)]
    assert [number for part in parts for number in part["quiz"]] == order["quiz"]


def test_a_part_is_a_share_of_each_task() -> None:
    order = {"quiz": [5, 3, 8, 1], "essay": [2, 7]}
    assert part_of(order, 0.0, 0.5) == {"quiz": [5, 3], "essay": [2]}
    assert part_of(order, 0.5, 0.7) == {"quiz": [8], "essay": []}
