"""llama.cpp's reference vocabularies through a tokenizer.json and back into GGUF.

They are the folder `models` of its sources; MERGESEARCH_GGUF_VOCABS names it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import gguf
import pytest
from tokenizers import Tokenizer as Library

from mergesearch.errors import CheckpointError
from mergesearch.gguf.header import read_gguf_header
from mergesearch.gguf.pack import Metadata, packed_header
from mergesearch.vocabulary import tokenizer_from_gguf
from mergesearch.vocabulary.to_gguf import read_vocabulary

VARIABLE = "MERGESEARCH_GGUF_VOCABS"
FOLDER = Path(os.environ.get(VARIABLE, ""))

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(VARIABLE not in os.environ, reason=f"{VARIABLE} is not set"),
]


def reference(name: str) -> tuple[dict[str, Any], Path]:
    path = FOLDER / f"ggml-vocab-{name}.gguf"
    return dict(read_gguf_header(path).fields), path


@pytest.mark.parametrize("name", ["qwen2", "gpt-2", "llama-bpe", "llama-spm"])
def test_known_vocabularies_come_back(name: str, tmp_path: Path) -> None:
    """Tokens, types, merges and special tokens are equal; of SentencePiece's scores, the order."""
    expected, path = reference(name)
    keys = Metadata()
    rows = len(expected["tokenizer.ggml.tokens"])
    read_vocabulary(tokenizer_from_gguf(expected, path), rows).add_to(keys)
    (tmp_path / "m.gguf").write_bytes(packed_header([keys.packed()], []))
    found = dict(read_gguf_header(tmp_path / "m.gguf").fields)
    ours, theirs = (keys.pop("tokenizer.ggml.scores", []) for keys in (found, expected))
    expected.setdefault("tokenizer.ggml.add_bos_token", found.get("tokenizer.ggml.add_bos_token"))
    for key, value in expected.items():
        if key.startswith("tokenizer."):
            assert found.get(key) == value, key
    words = [
        row
        for row, (kind, token) in enumerate(
            zip(expected["tokenizer.ggml.token_type"], found["tokenizer.ggml.tokens"], strict=True)
        )
        if theirs and kind == gguf.TokenType.NORMAL and len(token) > 1
    ]
    by_theirs, by_ours = (sorted(words, key=lambda row: -scores[row]) for scores in (theirs, ours))
    assert by_ours == by_theirs


@pytest.mark.parametrize(
    "name",
    ["command-r", "deepseek-coder", "deepseek-llm", "falcon", "mpt", "qwen35", "refact"],
)
def test_texts_have_the_tokens_of_the_original(name: str) -> None:
    """Those that the models' own tokenizers gave, which are stored beside the vocabularies."""
    fields, path = reference(name)
    found = Library.from_str(json.dumps(tokenizer_from_gguf(fields, path).document))
    texts = path.with_name(path.name + ".inp").read_text("utf-8").split("\n__ggml_vocab_test__\n")
    rows = path.with_name(path.name + ".out").read_text("utf-8").split("\n")
    for text, expected in zip(texts, rows, strict=False):
        tokens = found.encode(text, add_special_tokens=False).ids
        assert tokens == [int(row) for row in expected.split()], text


@pytest.mark.parametrize("name", ["aquila", "gpt-neox"])
def test_files_that_do_not_say_how_text_is_split_are_refused(name: str) -> None:
    with pytest.raises(CheckpointError, match=r"tokenizer\.ggml\.pre is None"):
        tokenizer_from_gguf(*reference(name))
