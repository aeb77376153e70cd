"""The keys that choose a tokenizer and a chat template, read and written."""

from __future__ import annotations

from typing import Any

import pytest
from helpers.recipes import PAIR

from mergesearch.errors import RecipeError
from mergesearch.recipe import Recipe, TokenizerChoice, TokenSource

BLOCK = {
    "source": "union",
    "tokens": {
        "<|im_start|>": {"source": "a", "force": True},
        "<zero>": {"source": {"kind": "zero"}},
        "<like>": {"source": {"kind": "model_token", "model": "b", "token": "<|im_end|>"}},
        "<row>": {"source": {"kind": "model_token", "model": "a", "token_id": 0}},
    },
    "pad_to_multiple_of": 64,
}


def test_the_block_is_read_and_written() -> None:
    recipe = Recipe.from_dict(PAIR | {"tokenizer": BLOCK})
    assert recipe.last.tokenizer == TokenizerChoice(
        "union",
        {
            "<|im_start|>": TokenSource("a", force=True),
            "<zero>": TokenSource(None),
            "<like>": TokenSource("b", token="<|im_end|>"),
            "<row>": TokenSource("a", token_id=0),
        },
        64,
    )
    assert recipe.to_dict()["tokenizer"] == BLOCK
    assert Recipe.from_yaml(recipe.to_yaml()) == recipe


@pytest.mark.parametrize("keys", [{"tokenizer_source": "b"}, {"tokenizer": {"source": "b"}}])
def test_a_bare_source_is_written_with_the_old_key(keys: dict[str, Any]) -> None:
    recipe = Recipe.from_dict(PAIR | keys)
    assert recipe.last.tokenizer == TokenizerChoice("b")
    assert recipe.to_dict()["tokenizer_source"] == "b"
    assert "tokenizer" not in recipe.to_dict()


def test_without_a_source_it_is_a_union() -> None:
    recipe = Recipe.from_dict(PAIR | {"tokenizer": {"pad_to_multiple_of": 8}})
    assert recipe.last.tokenizer == TokenizerChoice("union", {}, 8)


def test_parents_are_renamed_in_it() -> None:
    """Names of parents in place of ids, but `union` and `base` are no parents."""
    recipe = Recipe.from_dict(PAIR | {"tokenizer": BLOCK}).renamed({"a": "x/a", "b": "x/b"})
    assert recipe.last.tokenizer is not None
    assert recipe.last.tokenizer.source == "union"
    models = [token.model for token in recipe.last.tokenizer.tokens.values()]
    assert models == ["x/a", None, "x/b", "x/a"]
    old = Recipe.from_dict(PAIR | {"tokenizer_source": "b"}).renamed({"b": "x/b"})
    assert old.last.tokenizer == TokenizerChoice("x/b")


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "both keys": (
        {"tokenizer_source": "a", "tokenizer": {"source": "a"}},
        "`tokenizer` and `tokenizer_source` cannot both",
    ),
    "not a block": ({"tokenizer": "a"}, "'a' is not a mapping"),
    "an unknown key": ({"tokenizer": {"sources": "a"}}, "unknown key 'sources'"),
    "a multiple of 0": ({"tokenizer": {"pad_to_multiple_of": 0}}, "`pad_to_multiple_of` 0"),
    "tokens a list": ({"tokenizer": {"tokens": ["x"]}}, r"\[x\] is not a mapping"),
    "a token without a source": (
        {"tokenizer": {"tokens": {"x": {}}}},
        r"tokens\.x: needs `source`",
    ),
    "an unknown kind": (
        {"tokenizer": {"tokens": {"x": {"source": {"kind": "mean"}}}}},
        "unknown kind 'mean'",
    ),
    "a token and a row": (
        {
            "tokenizer": {
                "tokens": {
                    "x": {
                        "source": {
                            "kind": "model_token",
                            "model": "a",
                            "token": "y",
                            "token_id": 1,
                        }
                    }
                }
            }
        },
        "either `token` or `token_id`",
    ),
    "a row below 0": (
        {
            "tokenizer": {
                "tokens": {"x": {"source": {"kind": "model_token", "model": "a", "token_id": -1}}}
            }
        },
        "`token_id` -1 is not a row",
    ),
    "force a number": (
        {"tokenizer": {"tokens": {"x": {"source": "a", "force": 2}}}},
        "force: 2 is not true or false",
    ),
    "a template that is no text": ({"chat_template": 3}, "`chat_template` 3 is not a string"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str) -> None:
    keys, message = REFUSED[case]
    with pytest.raises(RecipeError, match=message):
        Recipe.from_dict(PAIR | keys)
