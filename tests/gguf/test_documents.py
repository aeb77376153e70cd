"""Sizes in a config.json."""

from __future__ import annotations

import pytest

from mergesearch.errors import CheckpointError
from mergesearch.gguf.documents import positive_size


def test_what_is_read() -> None:
    assert positive_size({"a": 3}, "a", "here") == 3
    assert positive_size({}, "a", "here", 4) == 4


@pytest.mark.parametrize("value", [0, -1, 1.0, True, "1", None])
def test_what_is_no_size(value: object) -> None:
    with pytest.raises(CheckpointError, match=r"^here: (a is |needs `a`)"):
        positive_size({"a": value}, "a", "here")
