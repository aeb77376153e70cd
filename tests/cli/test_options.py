"""What the texts of shared options stand for."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
from helpers.command import search

from mergesearch.cli.options import next_time, parse_parents, parse_size
from mergesearch.errors import InputError


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("12GB", 12_000_000_000),
        ("12G", 12_000_000_000),
        ("800MB", 800_000_000),
        ("1.5 gb", 1_500_000_000),
        ("2T", 2_000_000_000_000),
    ],
)
def test_sizes_are_decimal(text: str, size: int):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "12", "GB", "-1GB", "12GiB", "0GB", "12 GB free", "1e3GB"])
def test_what_is_no_size_is_refused(text: str):
    with pytest.raises(InputError, match="is not a size") as caught:
        parse_size(text)
    assert "such as 12GB or 800MB" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("12:31", datetime(2030, 1, 2, 12, 31)),
        ("12:30", datetime(2030, 1, 3, 12, 30)),
        ("7:05", datetime(2030, 1, 3, 7, 5)),
        ("00:00", datetime(2030, 1, 3)),
    ],
)
def test_a_time_of_day_is_its_next_moment(text: str, moment: datetime) -> None:
    assert next_time(text, datetime(2030, 1, 2, 12, 30, 15)) == moment


@pytest.mark.parametrize("text", ["", "25:00", "12", "12:60", "noon", "12:5"])
def test_what_is_not_a_time_of_day_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="is not a time of day"):
        next_time(text)


def test_places_of_parents_are_taken_apart_at_the_first_equals_sign() -> None:
    assert parse_parents(["a/b=x=y", "demo:base=z"]) == {
        "a/b": Path("x=y"),
        "demo:base": Path("z"),
    }
    for pair in ("a", "=x", "a="):
        with pytest.raises(InputError, match="is not of the form ID=DIR"):
            parse_parents([pair])


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--json", "--csv"), "--csv and --json do not go together"),
        (("--plot", "front.svg", "--json"), "--plot and --json do not go together"),
        (("--csv", "--importances"), "--importances only works with the table or with --json"),
    ],
)
def test_a_front_is_shown_in_one_way(options: tuple[str, ...], reason: str) -> None:
    outcome = search("front", "results/night", *options)
    assert (outcome.code, outcome.err.splitlines()[0]) == (2, f"error: {reason}")
