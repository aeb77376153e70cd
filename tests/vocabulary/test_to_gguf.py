"""Vocabularies: padding, token types, scores, and tokenizers that are refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gguf import TokenType
from helpers.parents import write_tokenizer

from mergesearch.errors import CheckpointError
from mergesearch.vocabulary import read_tokenizer, to_gguf
from mergesearch.vocabulary.to_gguf import Vocabulary


def read_vocabulary(folder: Path, rows: int) -> Vocabulary:
    """The vocabulary of a folder's tokenizer."""
    tokenizer = read_tokenizer(folder)
    assert tokenizer is not None
    return to_gguf.read_vocabulary(tokenizer, rows)


def edited(folder: Path, change: Callable[[dict[str, Any]], object], kind: str = "gpt-2") -> Path:
    """A folder with a changed tokenizer.json."""
    write_tokenizer(folder, kind)
    document = json.loads((folder / "tokenizer.json").read_text())
    change(document)
    (folder / "tokenizer.json").write_text(json.dumps(document))
    return folder


def test_tokens_and_types(tmp_path: Path) -> None:
    """Added tokens that are not special are user-defined; rows without a token are unused."""
    plain = {"id": 370, "content": "▁▁x", "special": False, "normalized": False}
    looks = {"id": 371, "content": "<|tool|>", "special": False, "normalized": False}
    folder = edited(tmp_path, lambda document: document["added_tokens"].extend([plain, looks]))
    vocabulary = read_vocabulary(folder, 384)
    assert len(vocabulary.tokens) == len(vocabulary.types) == 384
    assert vocabulary.tokens[:4] == ["<|end|>", "<|user|>", "<|assistant|>", "!"]
    assert vocabulary.types[:4] == [TokenType.CONTROL] * 3 + [TokenType.NORMAL]
    assert (vocabulary.tokens[370], vocabulary.types[370]) == ("  x", TokenType.USER_DEFINED)
    assert (vocabulary.tokens[371], vocabulary.types[371]) == ("<|tool|>", TokenType.CONTROL)
    assert (vocabulary.tokens[383], vocabulary.types[383]) == ("[PAD383]", TokenType.UNUSED)
    assert vocabulary.scores is None
    assert vocabulary.special.ids == {"eos": 0}


def test_sentencepiece_scores_follow_the_merges(tmp_path: Path) -> None:
    write_tokenizer(tmp_path, "spm")
    vocabulary = read_vocabulary(tmp_path, 384)
    document = json.loads((tmp_path / "tokenizer.json").read_text())
    merges = ["".join(pair) for pair in document["model"]["merges"]]
    scores = dict(zip(vocabulary.tokens, vocabulary.scores or [], strict=True))
    assert [scores[token] for token in merges[:3]] == [0.0, -1.0, -2.0]
    assert scores["▁"] == -len(merges)
    kinds = dict(zip(vocabulary.tokens, vocabulary.types, strict=True))
    assert kinds["<unk>"] == TokenType.UNKNOWN
    assert kinds["</s>"] == TokenType.CONTROL
    assert kinds["<0x0A>"] == TokenType.BYTE
    assert vocabulary.space_prefix is None


def test_more_tokens_than_rows(tmp_path: Path) -> None:
    write_tokenizer(tmp_path)
    with pytest.raises(CheckpointError, match="360 tokens for an embedding of 300 rows"):
        read_vocabulary(tmp_path, 300)


REFUSED: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "another split": (
        lambda document: document.update(pre_tokenizer={"type": "Whitespace"}),
        "not known to reproduce.*Whitespace",
    ),
    "no split": (lambda document: document.update(pre_tokenizer=None), "not known to reproduce"),
    "a space before the text": (
        lambda document: document["pre_tokenizer"].update(add_prefix_space=True),
        "not known to reproduce",
    ),
    "lower case": (lambda document: document.update(normalizer={"type": "Lowercase"}), "Lowercase"),
    "whole words first": (
        lambda document: document["model"].update(ignore_merges=True),
        "ignore_merges true",
    ),
    "not BPE": (lambda document: document["model"].update(type="Unigram"), "Unigram tokenizer"),
    "no model": (lambda document: document.pop("model"), "needs `model`"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str, tmp_path: Path) -> None:
    change, message = REFUSED[case]
    with pytest.raises(CheckpointError, match=message):
        read_vocabulary(edited(tmp_path, change), 384)


def test_missing(tmp_path: Path) -> None:
    assert read_tokenizer(tmp_path) is None


@pytest.mark.parametrize("text", ["{", "[]"])
def test_broken_settings_are_refused(text: str, tmp_path: Path) -> None:
    write_tokenizer(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text(text)
    with pytest.raises(CheckpointError, match="tokenizer_config"):
        read_vocabulary(tmp_path, 384)
