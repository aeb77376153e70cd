"""Numbers, times and names as a person reads them."""

import pytest

from mergesearch.objectives import Score
from mergesearch.report import text


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (10.4, "10 s"),
        (59.6, "1 min 00 s"),
        (151, "2 min 31 s"),
        (3600, "1 h 00 min"),
        (3 * 3600 + 299, "3 h 05 min"),
    ],
)
def test_durations(seconds: float, expected: str) -> None:
    assert text.duration(seconds) == expected


@pytest.mark.parametrize(
    ("count", "expected"),
    [(12, "12 B"), (2_400, "2.4 kB"), (2_400_000, "2.4 MB"), (8_988_110_000, "8.99 GB")],
)
def test_sizes(count: int, expected: str) -> None:
    assert text.size(count) == expected


@pytest.mark.parametrize(
    ("number", "percent", "expected"),
    [(0.632, True, "63.2"), (1.0, True, "100.0"), (5.25, False, "5.25"), (123.4, False, "123")],
)
def test_values(number: float, percent: bool, expected: str) -> None:
    assert text.value(number, percent) == expected


def test_a_missing_score_is_a_dash() -> None:
    assert text.score(None, percent=True) == "–"


def test_many_unscored_items_stand_beside_the_score() -> None:
    assert text.score(Score(0.632, 0.044, 92, 8), percent=True) == "63.2 ± 4.4 (8 % unscored)"
    assert text.score(Score(0.632, 0.044, 156, 8), percent=True) == "63.2 ± 4.4"


def test_words() -> None:
    assert [text.plural(n, "trial") for n in (0, 1, 2)] == ["0 trials", "1 trial", "2 trials"]
    assert text.first_line("a\nb") == "a"
    assert text.first_line(None) == ""
    assert text.shares({"b": 0.25}, ["a", "b"]) == "0/25"


def test_a_rate_is_whole_from_ten_on() -> None:
    assert [text.rate(trials) for trials in (0.04, 7.24, 9.96, 10.4, 1270.0)] == [
        "0.0",
        "7.2",
        "10.0",
        "10",
        "1,270",
    ]
