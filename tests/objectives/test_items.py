"""Items are divided by content and seed alone, disjointly, and smaller sets are subsets."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mergesearch.errors import ObjectivesError
from mergesearch.objectives import split_items


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
