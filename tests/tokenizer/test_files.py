"""Tokenizers read from folders and written again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from parents import CHAT_TEMPLATE, SPECIAL, TEXTS, write_tokenizer
from tokenizers import Tokenizer as Library

from mergesearch.errors import CheckpointError
from mergesearch.tokenizer import Tokenizer, read_tokenizer, tokens_of
from mergesearch.tokenizer import write_tokenizer as write


def read(folder: Path) -> Tokenizer:
    found = read_tokenizer(folder)
    assert found is not None
    return found


def test_rows_are_those_of_the_library(tmp_path: Path) -> None:
    write_tokenizer(tmp_path, "qwen2")
    vocab = Library.from_file(str(tmp_path / "tokenizer.json")).get_vocab(with_added_tokens=True)
    assert tokens_of(read(tmp_path)) == {row: text for text, row in vocab.items()}
    assert [tokens_of(read(tmp_path))[row] for row in range(3)] == SPECIAL


def test_a_template_beside_the_settings_is_read(tmp_path: Path) -> None:
    write_tokenizer(tmp_path)
    assert read(tmp_path).chat_template == CHAT_TEMPLATE
    settings = json.loads((tmp_path / "tokenizer_config.json").read_text())
    del settings["chat_template"]
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    assert read(tmp_path).chat_template is None
    (tmp_path / "chat_template.jinja").write_text("{{ 1 }}")
    assert read(tmp_path).chat_template == "{{ 1 }}"


def test_of_several_templates_the_default_counts(tmp_path: Path) -> None:
    write_tokenizer(tmp_path)
    several = [{"name": "tools", "template": "t"}, {"name": "default", "template": "d"}]
    one = replace(read(tmp_path), settings={"chat_template": several})
    assert one.chat_template == "d"


@pytest.mark.parametrize("kind", ["gpt-2", "qwen2", "llama-bpe", "spm"])
def test_what_is_written_encodes_alike(kind: str, tmp_path: Path) -> None:
    """As copies of the files, and from the documents alone."""
    (tmp_path / "a").mkdir()
    write_tokenizer(tmp_path / "a", kind)
    (tmp_path / "a" / "generation_config.json").write_text('{"top_p": 0.5}')
    original = Library.from_file(str(tmp_path / "a" / "tokenizer.json"))
    for name, tokenizer in (
        ("copied", read(tmp_path / "a")),
        ("made", replace(read(tmp_path / "a"), files=None)),
    ):
        (tmp_path / name).mkdir()
        write(tokenizer, tmp_path / name)
        again = Library.from_file(str(tmp_path / name / "tokenizer.json"))
        for text in TEXTS:
            assert again.encode(text).ids == original.encode(text).ids
        assert read(tmp_path / name).settings == read(tmp_path / "a").settings
        assert read(tmp_path / name).generation == {"top_p": 0.5}


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    for text, message in (
        ("{", "not JSON"),
        ("[]", "not a JSON object"),
        ('{"model": {"type": "BPE"}}', "not a tokenizer.json"),
        ('{"model": {"type": "Unigram", "vocab": {}}}', "Unigram tokenizer"),
    ):
        (tmp_path / "tokenizer.json").write_text(text)
        with pytest.raises(CheckpointError, match=message):
            read_tokenizer(tmp_path)
