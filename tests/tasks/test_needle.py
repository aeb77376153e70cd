"""Generated long texts: always the same, with one answer, at the depth asked for."""

from __future__ import annotations

import hashlib
import json

import pytest

from mergesearch.tasks.needle import dataset


def test_the_texts_are_always_the_same() -> None:
    rows = dataset([200, 400], [0.0, 1.0], 2)["test"]
    digest = hashlib.sha256(json.dumps(rows).encode()).hexdigest()
    assert digest == "2a95b39ab242f818505fa566678822738fe0cc65e9eeacd1c99e628ad9b1838d"
    assert dataset([400], [1.0], 2)["test"] == rows[6:]


@pytest.mark.parametrize("depth", [0.0, 0.25, 0.5, 0.75, 1.0])
def test_the_fact_stands_once_at_its_depth_among_others_of_its_kind(depth: float) -> None:
    for row in dataset([600], [depth], 5)["test"]:
        keeper = row["question"].split("'s locker")[0].rsplit(" ", 1)[1]
        fact = f"The number on {keeper}'s locker is {row['answer']}."
        assert row["text"].count(keeper) == 1
        assert row["text"].count("locker") == 4
        before, after = row["text"].split(fact)
        assert len(before) / len(before + after) == pytest.approx(depth, abs=0.05)
        assert 600 <= len(row["text"].split()) < 620


def test_no_two_texts_are_equal() -> None:
    rows = dataset([300], [0.0, 0.5, 1.0], 20)["test"]
    assert len({row["text"] for row in rows}) == 60
