"""Regular expressions that others wrote."""

from __future__ import annotations

import re
import time

import pytest

from mergesearch._system.patterns import check_pattern

LONG = "a" * 200


@pytest.mark.parametrize(
    "pattern",
    [
        "q_proj",
        r"layers\.1\.mlp\.down_proj",
        r".*\.[0-9]+\.self_attn\.(q|k)_proj",
        r"blk\.(1|2)\.attn_[qk].*",
        r"a\+\*\{",
        "[*+{]*",
        "(mlp)?x",
        "a*a*b",
    ],
)
def test_what_people_write_is_taken_and_soon_done(pattern: str) -> None:
    check_pattern(pattern)
    start = time.perf_counter()
    re.match(rf"(.*\.)?({pattern})$", LONG)
    assert time.perf_counter() - start < 0.5


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(", "not a regular expression"),
        ("(" * 200 + ")" * 200 + "+", "repeats a group"),
        ("(a+)+b", "repeats a group"),
        ("(a|a)*b", "repeats a group"),
        ("(a?){50}a{50}", "repeats a group"),
        ("a*a*a*b", "more than 2 repeats"),
        (r"(a*)\1\1b", "refers back"),
        ("(?P<x>a*)(?P=x)b", "refers back"),
        ("a" * 501, "more than 500 characters"),
    ],
)
def test_what_may_never_end_is_refused(pattern: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_pattern(pattern)
