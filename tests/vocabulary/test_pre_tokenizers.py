"""Pre-tokenizers are recognized by what they do, which is what llama.cpp does."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from helpers.llama_splits import llama_splits

from mergesearch.vocabulary import pre_tokenizers
from mergesearch.vocabulary.pre_tokenizers import (
    BYTE_LEVEL,
    PRE_TOKENIZERS,
    WORDS,
    known_as,
    recognized,
)

PROBE = pre_tokenizers._PROBE
ASCII = "".join(letter for letter in PROBE if letter.isascii())
BY_CASE = "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
IGNORING_CASE = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"


def sequence(*regexes: str, last: dict[str, Any] = BYTE_LEVEL) -> dict[str, Any]:
    splits = [
        {"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": False}
        for regex in regexes
    ]
    return {"type": "Sequence", "pretokenizers": [*splits, last]}


@pytest.mark.parametrize("one", PRE_TOKENIZERS, ids=lambda known: known.names[0])
def test_each_is_recognized_by_its_own_section(one: pre_tokenizers.PreTokenizer) -> None:
    found = recognized(one.section, takes_words=one.takes_words, bos=one.adds_bos)
    assert found is one


def test_the_probe_tells_all_of_them_apart() -> None:
    for combination, other in combinations(PRE_TOKENIZERS, 2):
        alike = pre_tokenizers._known(combination) == pre_tokenizers._known(other)
        assert alike == (combination.section == other.section), (combination.names, other.names)


@pytest.mark.parametrize(
    ("section", "name"),
    [
        (sequence((WORDS % "").replace(IGNORING_CASE, BY_CASE)), "qwen2"),
        (sequence(WORDS % "{1}"), "qwen2"),
        (sequence((WORDS % "").replace(r"|\s*[\r\n]+", r"|\s*[\r\n]")), "qwen2"),
        (sequence(r"\p{N}{1,3}", WORDS % "+"), "dbrx"),
        (sequence(r"\p{Nd}|\p{Nl}|\p{No}", last=BYTE_LEVEL | {"use_regex": True}), "smollm"),
        (BYTE_LEVEL | {"use_regex": True, "trim_offsets": True}, "gpt-2"),
    ],
)
def test_another_way_to_write_it_is_the_same(section: dict[str, Any], name: str) -> None:
    found = recognized(section, takes_words=False, bos=False)
    assert found is not None
    assert found.names[0] == name


@pytest.mark.parametrize(
    "section",
    [
        None,
        {"type": "Whitespace"},
        BYTE_LEVEL,
        BYTE_LEVEL | {"use_regex": True, "add_prefix_space": True},
        sequence(WORDS % "{1,2}"),
        sequence(WORDS % "", last={"type": "Whitespace"}),
        sequence("("),
        {"type": "Nothing"},
        "text",
    ],
)
def test_another_split_is_not_recognized(section: Any) -> None:
    assert recognized(section, takes_words=False, bos=False) is None


@pytest.mark.parametrize(
    ("takes_words", "bos", "name"),
    [
        (True, True, "llama-bpe"),
        (False, True, "llama-bpe"),
        (True, False, "glm4"),
        (False, False, "dbrx"),
    ],
)
def test_tokenizers_that_split_as_llama_3(takes_words: bool, bos: bool, name: str) -> None:
    """llama.cpp begins with bos by itself under one name; the setting may be missing."""
    found = recognized(sequence(WORDS % "{1,3}"), takes_words=takes_words, bos=bos)
    assert found is not None
    assert found.names[0] == name


def test_words_that_llama_cpp_would_merge_are_not_recognized() -> None:
    assert recognized(sequence(WORDS % ""), takes_words=True, bos=False) is None
    tekken = known_as("tekken")
    assert tekken is not None
    assert recognized(tekken.section, takes_words=False, bos=True) is tekken


@pytest.mark.parametrize(
    ("name", "first"),
    [("smaug-bpe", "dbrx"), ("starcoder", "smollm"), ("llama4", "gpt-4o"), ("glm5", "glm4")],
)
def test_other_names(name: str, first: str) -> None:
    known = known_as(name)
    assert known is not None
    assert known.names[0] == first
    assert known_as("kimi-k2") is None


EXACT = ["gpt-2", "qwen2", "llama-bpe", "smollm", "qwen35", "deepseek-v3", "laguna", "superbpe"]
EXACT += ["spark2_5", "bailingmoe", "minicpm5"]


@pytest.mark.parametrize(
    ("name", "text"),
    [*((name, PROBE) for name in EXACT), ("tekken", ASCII), ("gpt-4o", ASCII)],
)
def test_llama_cpp_splits_alike(name: str, text: str, tmp_path: Path) -> None:
    """Of tekken and gpt-4o only where no letter has a mark or an accent, as llama.cpp has them."""
    known = known_as(name)
    assert known is not None
    expected = pre_tokenizers._pieces(known.section, text)
    assert llama_splits(name, text, tmp_path / "m.gguf") == expected
