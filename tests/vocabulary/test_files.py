"""Tokenizers read from folders and written again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.parents import CHAT_TEMPLATE, SPECIAL, TEXTS, write_tokenizer
from tokenizers import Tokenizer as Library

from mergesearch.errors import CheckpointError
from mergesearch.vocabulary import Tokenizer, read_tokenizer
from mergesearch.vocabulary import write_tokenizer as write


def read(folder: Path) -> Tokenizer:
    found = read_tokenizer(folder)
    assert found is not None
    return found


def test_rows_are_those_of_the_library(tmp_path: Path) -> None:
    write_tokenizer(tmp_path, "qwen2")
    vocab = Library.from_file(str(tmp_path / "tokenizer.json")).get_vocab(with_added_tokens=True)
    assert read(tmp_path).tokens == {row: text for text, row in vocab.items()}
    assert [read(tmp_path).tokens[row] for row in range(3)] == SPECIAL


def test_a_template_beside_the_settings_is_read(tmp_path: Path) -> None:
    write_tokenizer(tmp_path)
    assert read(tmp_path).chat_template == CHAT_TEMPLATE
    settings = json.loads((tmp_path / "tokenizer_config.json").read_text())
    del settings["chat_template"]
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    assert read(tmp_path).chat_template is None
    (tmp_path / "chat_template.jinja").write_text("{{ 1 }}")
    assert read(tmp_path).chat_template == "{{ 1 }}"


def test_a_template_of_its_own_comes_before_the_settings(tmp_path: Path) -> None:
    """As for transformers."""
    write_tokenizer(tmp_path)
    (tmp_path / "chat_template.jinja").write_text("{{ 1 }}")
    assert read(tmp_path).chat_template == "{{ 1 }}"
    (tmp_path / "chat_template.jinja").unlink()
    in_settings = read(tmp_path).chat_template
    (tmp_path / "chat_template.json").write_text('{"chat_template": "older"}')
    assert read(tmp_path).chat_template == in_settings


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
        ("{", "not valid JSON"),
        ("[]", "not a JSON object"),
        ('{"model": {"type": "BPE"}}', "model: needs `vocab`"),
        ('{"model": {"type": "Unigram", "vocab": {}}}', "Unigram tokenizer"),
        (
            '{"model": {"type": "BPE", "vocab": {}}, "added_tokens": [{}]}',
            "added_tokens.0: needs `id`",
        ),
        (
            '{"model": {"type": "BPE", "vocab": {}}, "added_tokens": [3]}',
            "added_tokens.0: 3 is not a mapping",
        ),
        (
            '{"model": {"type": "BPE", "vocab": {}, "merges": ["a b", "c"]}}',
            "model.merges: .* holds a merge that is not two pieces",
        ),
        (
            '{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": [["a", "b"]]}}',
            'model.merges: "b" is not in the vocabulary',
        ),
    ):
        (tmp_path / "tokenizer.json").write_text(text)
        with pytest.raises(CheckpointError, match=message):
            read_tokenizer(tmp_path)


@pytest.mark.parametrize(
    ("name", "document", "message"),
    [
        ("tokenizer_config.json", {"bos_token": 5}, "bos_token: 5 is not a token"),
        ("tokenizer_config.json", {"eos_token": {"content": 1}}, "eos_token: a mapping is not a"),
        ("tokenizer_config.json", {"add_bos_token": "yes"}, 'add_bos_token: "yes" is not true or'),
        ("tokenizer_config.json", {"model_max_length": -1}, "model_max_length: -1 is out of range"),
        ("tokenizer_config.json", {"chat_template": 5}, "chat_template: 5 is not a chat template"),
        ("special_tokens_map.json", {"pad_token": [1]}, "pad_token: a list is not a token"),
        ("generation_config.json", {"top_p": 5.0}, "top_p: 5.0 is out of range"),
        ("generation_config.json", {"eos_token_id": "x"}, 'eos_token_id: "x" is not the id of a'),
    ],
)
def test_settings_that_cannot_be_are_refused(
    name: str, document: object, message: str, tmp_path: Path
) -> None:
    write_tokenizer(tmp_path)
    (tmp_path / name).write_text(json.dumps(document))
    with pytest.raises(CheckpointError, match=message):
        read(tmp_path)


def test_tokens_that_only_the_settings_list_count(tmp_path: Path) -> None:
    """As for transformers; `tokenizer.json` comes first."""
    write_tokenizer(tmp_path)
    settings = {
        "added_tokens_decoder": {
            "1": {"content": "<|user|>", "special": False},
            "360": {"content": "<|late|>", "special": True},
        }
    }
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    found = read(tmp_path)
    assert found.tokens[360] == "<|late|>"
    assert [found.added_tokens[row]["special"] for row in (1, 360)] == [True, True]
    (tmp_path / "tokenizer_config.json").write_text('{"added_tokens_decoder": {"x": {}}}')
    with pytest.raises(CheckpointError, match=r'added_tokens_decoder\.x: "x" is not the id of a '):
        read(tmp_path)


def test_special_ids_of_the_config(tmp_path: Path) -> None:
    """Lists and what is no row are left out."""
    write_tokenizer(tmp_path)
    config = {"eos_token_id": [1, 2], "bos_token_id": 1, "pad_token_id": None, "unk_token_id": -1}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert read(tmp_path).ids == {"bos": 1}


def test_several_templates_beside_the_settings(tmp_path: Path) -> None:
    write_tokenizer(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text("{}")
    (tmp_path / "chat_template.jinja").write_text("d")
    (tmp_path / "additional_chat_templates").mkdir()
    (tmp_path / "additional_chat_templates" / "tools.jinja").write_text("t")
    assert read(tmp_path).chat_template == "d"
    assert read(tmp_path).settings["chat_template"][1] == {"name": "tools", "template": "t"}
