"""The tokenizer of a result: a parent's own, or with the tokens of others."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.parents import SPECIAL, TEXTS, make_tokenizer
from tokenizers import AddedToken
from tokenizers import Tokenizer as Library

from mergesearch.errors import RecipeError
from mergesearch.recipe import TokenizerChoice, TokenSource
from mergesearch.vocabulary import Tokenizer, chosen_tokenizer
from mergesearch.vocabulary.choice import without_rows_beyond


def document(library: Library) -> Tokenizer:
    return Tokenizer(json.loads(library.to_str()), {}, {}, Path("somewhere"))


def library(tokenizer: Tokenizer) -> Library:
    return Library.from_str(json.dumps(tokenizer.document))


@pytest.fixture
def two() -> dict[str, tuple[Tokenizer, int]]:
    """One of 360 tokens, and one of 340 that was trained alike, with added tokens of its own."""
    other = make_tokenizer("gpt-2", 340)
    other.add_special_tokens([AddedToken("<|think|>", special=True), "<|user|>"])
    other.add_tokens(["doesn't it?"])
    return {"base": (document(make_tokenizer()), 360), "b": (document(other), 384)}


def test_a_parents_own_tokenizer_stays_as_it_is(two: dict[str, tuple[Tokenizer, int]]) -> None:
    assert chosen_tokenizer(two, "base", TokenizerChoice("base")) is two["base"][0]
    assert chosen_tokenizer(two, "base", TokenizerChoice("b")) is two["b"][0]
    with pytest.raises(RecipeError, match="source 'c' is not a parent of this recipe"):
        chosen_tokenizer(two, "base", TokenizerChoice("c"))


def test_a_union_is_the_base_and_what_it_lacks(two: dict[str, tuple[Tokenizer, int]]) -> None:
    """New tokens stand behind the base's, in the order of their rows; the library agrees."""
    united = chosen_tokenizer(two, "base", TokenizerChoice("union"))
    mine, theirs = two["base"][0].tokens, two["b"][0].tokens
    found = united.tokens
    assert {row: found[row] for row in mine} == mine
    assert set(found.values()) == set(mine.values()) | set(theirs.values())
    assert [found[row] for row in range(360, len(found))] == ["<|think|>", "doesn't it?"]
    assert {row: text for text, row in library(united).get_vocab().items()} == found
    assert library(united).encode("x<|think|>").tokens[-1] == "<|think|>"
    flags = {token["content"]: token["special"] for token in united.document["added_tokens"]}
    assert flags == {**dict.fromkeys(SPECIAL, True), "<|think|>": True, "doesn't it?": False}
    assert united.files is None


def test_a_token_of_the_vocabulary_of_another_is_added(
    two: dict[str, tuple[Tokenizer, int]],
) -> None:
    """The smaller as base: pieces of the larger become added tokens, as in mergekit."""
    swapped = {"b": two["b"], "base": two["base"]}
    united = chosen_tokenizer(swapped, "b", TokenizerChoice("union"))
    assert set(united.tokens.values()) == {
        *two["base"][0].tokens.values(),
        *two["b"][0].tokens.values(),
    }
    assert len(united.tokens) == max(united.tokens) + 1


def test_named_tokens_are_added(two: dict[str, tuple[Tokenizer, int]]) -> None:
    choice = TokenizerChoice("base", {"<|new|>": TokenSource(None), "<|end|>": TokenSource("b")})
    made = chosen_tokenizer(two, "base", choice)
    assert made.tokens[360] == "<|new|>"
    assert len(made.tokens) == 361


def test_tokens_beyond_the_embedding_are_gone() -> None:
    """With them the merges that make or need them; what is left encodes without them."""
    whole = document(make_tokenizer())
    stripped = without_rows_beyond(whole, 300)
    assert max(stripped.tokens) == 299
    for text in TEXTS:
        assert max(library(stripped).encode(text).ids) < 300
    assert without_rows_beyond(whole, 360) is whole


def test_the_settings_list_of_added_tokens_follows(two: dict[str, tuple[Tokenizer, int]]) -> None:
    """Where a tokenizer_config.json lists them, transformers takes no others."""
    base, rows = two["base"]
    listed = {str(row): {"content": text, "special": True} for row, text in enumerate(SPECIAL)}
    base = replace(base, settings={"added_tokens_decoder": listed})
    united = chosen_tokenizer({**two, "base": (base, rows)}, "base", TokenizerChoice("union"))
    found = united.settings["added_tokens_decoder"]
    assert [token["content"] for token in found.values()] == [*SPECIAL, "<|think|>", "doesn't it?"]
    assert list(found) == ["0", "1", "2", "360", "361"]
    assert not found["361"]["special"]
    stripped = without_rows_beyond(united, 361)
    assert list(stripped.settings["added_tokens_decoder"]) == ["0", "1", "2", "360"]


def test_flags_of_an_added_token_come_before_an_ordinary_one(
    two: dict[str, tuple[Tokenizer, int]],
) -> None:
    """What is ordinary in one parent and a control token in the next is a control token."""
    ordinary, control = make_tokenizer("gpt-2", 300), make_tokenizer("gpt-2", 300)
    control.add_special_tokens(["\u0120a"])
    other = {
        "b": (document(make_tokenizer()), 360),
        "c": (document(control), 384),
        "a": (document(ordinary), 300),
    }
    united = chosen_tokenizer(other, "a", TokenizerChoice("union"))
    flags = {token["content"]: token["special"] for token in united.document["added_tokens"]}
    assert flags["\u0120a"]
