"""What a search is asked for, refused before anything is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from mergesearch.errors import InputError
from mergesearch.runs.start import search


@pytest.mark.parametrize("share", [1.0, -0.1, float("nan"), 20.0])
def test_a_share_that_leaves_nothing_to_the_search_is_refused(share: float, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a share of the budget") as caught:
        search("demo", folder=tmp_path / "run", confirm=share)
    assert caught.value.expected == ("0 (nothing is confirmed) to 0.9 (the search gets the rest)")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("seed", [-1, 1 << 63])
def test_a_seed_that_no_database_can_keep_is_refused(seed: int, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"seed: {seed} is out of range"):
        search("demo", folder=tmp_path / "run", seed=seed)
    assert not (tmp_path / "run").exists()
